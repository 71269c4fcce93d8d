// Run by mongosh inside the container of MongoDB, again and again (docker-compose.yml): initiates the replica
// set of one when there is none yet, and ends with 0 once this member takes writes, else with 1.
try {
  rs.status();
} catch (error) {
  if (error.codeName !== 'NotYetInitialized') throw error;
  // By the service's name, as API and workers reach it; it outlives the container and its address.
  rs.initiate({ _id: 'rs0', members: [{ _id: 0, host: 'mongodb:27017' }] });
}
if (!db.hello().isWritablePrimary) quit(1);
