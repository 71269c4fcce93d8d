import { Page } from '../../ui/page.tsx';
import { EmptyState } from '../../ui/states.tsx';

export function NewActionPage() {
  return (
    <Page title="New action">
      <EmptyState title="Not here yet" />
    </Page>
  );
}
