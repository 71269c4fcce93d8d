import { Page } from '../../ui/page.tsx';
import { EmptyState } from '../../ui/states.tsx';

export function ProvidersPage() {
  return (
    <Page title="Providers">
      <EmptyState title="Not here yet" />
    </Page>
  );
}
