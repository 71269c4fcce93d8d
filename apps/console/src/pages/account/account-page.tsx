import { Page } from '../../ui/page.tsx';
import { EmptyState } from '../../ui/states.tsx';

export function AccountPage() {
  return (
    <Page title="Account">
      <EmptyState title="Not here yet" />
    </Page>
  );
}
