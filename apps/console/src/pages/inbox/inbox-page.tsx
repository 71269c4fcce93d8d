import { Page } from '../../ui/page.tsx';
import { EmptyState } from '../../ui/states.tsx';

export function InboxPage() {
  return (
    <Page title="Unknown outcomes">
      <EmptyState title="Not here yet" />
    </Page>
  );
}
