/** Why a firewall gets no list. The message is for the people who set it up. */
export class FeedRefusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(message);
    this.name = 'FeedRefusal';
  }
}
