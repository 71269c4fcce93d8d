import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState, type ReactNode } from 'react';
import { usePreferences, type Preferences } from '../../shell/preferences.ts';
import { signOut, useSession } from '../../session/session.tsx';
import { Badge } from '../../ui/badge.tsx';
import { Button } from '../../ui/button.tsx';
import { Card } from '../../ui/card.tsx';
import { ConfirmDialog } from '../../ui/dialog.tsx';
import { KeyValue } from '../../ui/key-value.tsx';
import { Page } from '../../ui/page.tsx';
import { Segments } from '../../ui/tabs.tsx';
import { RelativeTime } from '../../ui/time.tsx';
import { Switch } from '../../ui/toggle.tsx';
import styles from './account.module.css';
import { PasswordForm } from './password-form.tsx';

const THEMES: readonly { readonly id: Preferences['theme']; readonly label: string }[] = [
  { id: 'system', label: 'System' },
  { id: 'light', label: 'Light' },
  { id: 'dark', label: 'Dark' },
];

export function AccountPage() {
  const { user, tenant, operates, idleUntil, endsAt } = useSession();
  const [{ theme, shortcuts }, change] = usePreferences();
  return (
    <Page title="Account and appearance" isNarrow>
      <Card title="You">
        <KeyValue
          facts={[
            ['Name', user.displayName === '' ? user.name : `${user.displayName} (${user.name})`],
            [
              'Account',
              user.kind === 'local' ? 'local, managed in Riposte' : 'managed by your identity provider',
            ],
            [
              'Tenant',
              tenant.name === null ? <code key="id">{tenant.id}</code> : `${tenant.name} (${tenant.id})`,
            ],
            [
              'Role',
              <>
                {tenant.role}
                {operates && <Badge tone="info">operates the installation</Badge>}
              </>,
            ],
            [
              'Session',
              <span key="session">
                ends <RelativeTime at={endsAt} />, or <RelativeTime at={idleUntil} /> without activity
              </span>,
            ],
          ]}
        />
      </Card>
      <Card title="Appearance">
        <Row label="Colours" note="Saved in this browser.">
          <Segments
            label="Colours"
            options={THEMES}
            value={theme}
            onChange={(next) => change({ theme: next })}
          />
        </Row>
        <Row
          label="Keyboard shortcuts"
          note="Single letters, such as g a for the actions. Press ? to see them all. Turn them off if you use speech input."
        >
          <Switch isSelected={shortcuts} onChange={(on) => change({ shortcuts: on })}>
            {shortcuts ? 'On' : 'Off'}
          </Switch>
        </Row>
      </Card>
      {user.kind === 'local' && (
        <Card title="Password" note="Changing it ends all your other sessions.">
          <PasswordForm submit="Change the password" />
        </Card>
      )}
      <Card title="Sessions">
        <EndSessions />
      </Card>
    </Page>
  );
}

function Row({
  label,
  note,
  children,
}: {
  readonly label: string;
  readonly note: string;
  readonly children: ReactNode;
}) {
  return (
    <div className={styles['row']}>
      <div className={styles['words']}>
        <p className={styles['label']}>{label}</p>
        <p className={styles['note']}>{note}</p>
      </div>
      {children}
    </div>
  );
}

function EndSessions() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [isAsking, setAsking] = useState(false);
  return (
    <Row
      label="Sign out everywhere"
      note="Ends all your sessions on every device at once, including this one."
    >
      <Button onPress={() => setAsking(true)}>Sign out everywhere</Button>
      <ConfirmDialog
        title="Sign out everywhere?"
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        confirm="Sign out everywhere"
        dismiss="Stay signed in"
        isDangerous
        onConfirm={async () => {
          await signOut(queries, true);
          await navigate({ to: '/sign-in' });
        }}
      >
        <p>This session and all your other sessions end. Actions in progress continue.</p>
      </ConfirmDialog>
    </Row>
  );
}
