import { Download } from 'lucide-react';
import { Button } from '../../ui/button.tsx';
import { Menu, MenuItem } from '../../ui/menu.tsx';
import { useNow } from '../../ui/time.tsx';
import { exportPath, type ListSearch } from './list-search.ts';

/** The whole list, beyond what is loaded, as a file. */
export function ExportMenu({ search }: { readonly search: ListSearch }) {
  const now = useNow();
  return (
    <Menu
      label="Export"
      trigger={
        <Button>
          <Download size={15} aria-hidden />
          Export
        </Button>
      }
    >
      <MenuItem
        id="csv"
        label="CSV"
        note="One line per action, for a spreadsheet"
        href={exportPath(search, now, 'csv')}
        download="actions.csv"
      />
      <MenuItem
        id="ndjson"
        label="NDJSON"
        note="Complete actions, for other programs"
        href={exportPath(search, now, 'ndjson')}
        download="actions.ndjson"
      />
    </Menu>
  );
}
