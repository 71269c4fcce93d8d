import { Page } from '../../ui/page.tsx';
import { EmptyState } from '../../ui/states.tsx';

export function ActionsPage() {
  return (
    <Page title="Actions">
      <EmptyState title="Not here yet" />
    </Page>
  );
}
