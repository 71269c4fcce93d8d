import { Page } from '../../ui/page.tsx';
import { EmptyState } from '../../ui/states.tsx';

export function ActionPage() {
  return (
    <Page title="Action">
      <EmptyState title="Not here yet" />
    </Page>
  );
}
