import { Page } from '../../ui/page.tsx';
import { EmptyState } from '../../ui/states.tsx';

export function PeoplePage() {
  return (
    <Page title="People">
      <EmptyState title="Not here yet" />
    </Page>
  );
}
