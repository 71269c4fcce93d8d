import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { defaultParseSearch, defaultStringifySearch } from '@tanstack/react-router';
import { Bookmark, BookmarkPlus, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { request } from '../../api/client.ts';
import { viewsQuery } from '../../api/queries.ts';
import type { SavedView } from '../../api/types.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { ConfirmDialog, Dialog } from '../../ui/dialog.tsx';
import { TextField } from '../../ui/field.tsx';
import { Menu, MenuGroup, MenuItem, MenuSeparator } from '../../ui/menu.tsx';
import { toast } from '../../ui/toast.tsx';
import { countChoices, parseListSearch, type ListSearch } from './list-search.ts';
import styles from './views-menu.module.css';

/** Views that everybody has. */
const COMMON: readonly { readonly name: string; readonly search: ListSearch }[] = [
  { name: 'Waiting', search: { status: ['NotStarted'], sort: 'oldest' } },
  { name: 'Under way', search: { status: ['Running'] } },
  { name: 'Failed in the last 24 hours', search: { status: ['Failed'], within: '24h' } },
];

/** Ways to look at the list, kept by a name: those that everybody has, and one's own. */
export function ViewsMenu({
  search,
  onChoose,
}: {
  readonly search: ListSearch;
  readonly onChoose: (search: ListSearch) => void;
}) {
  const { data: views = [], isError } = useQuery(viewsQuery);
  const [open, setOpen] = useState<'save' | 'manage' | null>(null);
  const current = JSON.stringify(search);
  return (
    <>
      <Menu
        label="Views"
        trigger={
          <Button>
            <Bookmark size={15} aria-hidden />
            Views
          </Button>
        }
      >
        <MenuGroup title="Built-in">
          {COMMON.map((view) => (
            <MenuItem
              key={view.name}
              id={`common ${view.name}`}
              label={view.name}
              isCurrent={JSON.stringify(parseListSearch({ ...view.search })) === current}
              onAction={() => onChoose(view.search)}
            />
          ))}
        </MenuGroup>
        {views.length > 0 && (
          <MenuGroup title="Your views">
            {views.map(({ name, query }) => {
              const wanted = parseListSearch(defaultParseSearch(query));
              return (
                <MenuItem
                  key={name}
                  id={`own ${name}`}
                  label={name}
                  isCurrent={JSON.stringify(wanted) === current}
                  onAction={() => onChoose(wanted)}
                />
              );
            })}
          </MenuGroup>
        )}
        {!isError && <MenuSeparator />}
        {!isError && (
          <MenuItem
            id="save"
            label="Save this view …"
            icon={<BookmarkPlus size={16} aria-hidden />}
            isDisabled={countChoices(search) === 0 && search.sort === undefined}
            onAction={() => setOpen('save')}
          />
        )}
        {views.length > 0 && (
          <MenuItem
            id="manage"
            label="Remove views …"
            icon={<Trash2 size={16} aria-hidden />}
            onAction={() => setOpen('manage')}
          />
        )}
      </Menu>
      {open === 'save' && <SaveDialog views={views} search={search} onClose={() => setOpen(null)} />}
      {open === 'manage' && <ManageDialog views={views} onClose={() => setOpen(null)} />}
    </>
  );
}

function SaveDialog({
  views,
  search,
  onClose,
}: {
  readonly views: readonly SavedView[];
  readonly search: ListSearch;
  readonly onClose: () => void;
}) {
  const [name, setName] = useState('');
  const replace = useReplaceViews();
  const isKnown = views.some((view) => view.name === name.trim());
  return (
    <ConfirmDialog
      title="Save this view"
      isOpen
      onClose={onClose}
      dismiss="Cancel"
      confirm={isKnown ? 'Replace' : 'Save'}
      isDisabled={name.trim() === ''}
      onConfirm={async () => {
        const view = { name: name.trim(), query: defaultStringifySearch({ ...search }) };
        await replace.mutateAsync([...views.filter((one) => one.name !== view.name), view]);
        toast(`The view “${view.name}” is saved.`);
      }}
    >
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        maxLength={100}
        autoFocus
        description={
          isKnown ? 'This replaces your view of the same name.' : 'Only you see it, and only in this tenant.'
        }
      />
    </ConfirmDialog>
  );
}

function ManageDialog({
  views,
  onClose,
}: {
  readonly views: readonly SavedView[];
  readonly onClose: () => void;
}) {
  const replace = useReplaceViews();
  return (
    <Dialog title="Your views" isOpen onClose={onClose} actions={<Button onPress={onClose}>Close</Button>}>
      <ul className={styles['views'] ?? ''}>
        {views.map(({ name }) => (
          <li key={name}>
            <span>{name}</span>
            <IconButton
              label={`Remove the view ${name}`}
              size="small"
              isPending={replace.isPending}
              onPress={() => replace.mutate(views.filter((one) => one.name !== name))}
            >
              <Trash2 size={15} aria-hidden />
            </IconButton>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function useReplaceViews() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (value: readonly SavedView[]) =>
      request<{ readonly value: readonly SavedView[] }>('/api/v1/views', { method: 'PUT', body: { value } }),
    onSuccess: ({ value }) => queries.setQueryData(viewsQuery.queryKey, value),
    onError: (error) => toast(`The views were not changed. ${error.message}`, 'danger'),
  });
}
