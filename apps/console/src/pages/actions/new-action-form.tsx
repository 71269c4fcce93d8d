import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { ArrowUpRight } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { Form } from 'react-aria-components/Form';
import { ApiError } from '../../api/api-error.ts';
import { request } from '../../api/client.ts';
import type { NativeAction, Plan, Provider, ProviderAction } from '../../api/types.ts';
import { Badge } from '../../ui/badge.tsx';
import { Banner } from '../../ui/banner.tsx';
import { Button } from '../../ui/button.tsx';
import { Card } from '../../ui/card.tsx';
import { CodeBlock } from '../../ui/code-block.tsx';
import { ComboBox } from '../../ui/combo-box.tsx';
import { Disclosure } from '../../ui/disclosure.tsx';
import { TextField } from '../../ui/field.tsx';
import { duration } from '../../ui/format.ts';
import { Select } from '../../ui/select.tsx';
import { toast } from '../../ui/toast.tsx';
import {
  fieldsOf,
  findAction,
  parametersOf,
  problemsInMessage,
  problemsOf,
  type Typed,
} from './form-model.ts';
import { idempotencyKeys } from './idempotency-key.ts';
import styles from './new-action.module.css';
import { ParameterField } from './parameter-field.tsx';
import { TimeAhead } from './time-ahead.tsx';

/** What the form has at first. */
export interface Beginning {
  readonly instance: string | null;
  readonly action: string | null;
  readonly typed: Typed;
  readonly reason: string;
  readonly clientContext: string;
  /** The original had secrets, which nobody is shown. */
  readonly hasSecrets: boolean;
}

const REASON_LIMIT = 4096;
const CONTEXT_LIMIT = 256;

export function NewActionForm({
  providers,
  beginning,
}: {
  readonly providers: readonly Provider[];
  readonly beginning: Beginning;
}) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [instance, setInstance] = useState(beginning.instance);
  const [name, setName] = useState(beginning.action);
  const [typed, setTyped] = useState(beginning.typed);
  const [touched, setTouched] = useState<ReadonlySet<string>>(new Set());
  const [isTried, setTried] = useState(false);
  const [reason, setReason] = useState(beginning.reason);
  const [clientContext, setClientContext] = useState(beginning.clientContext);
  const [startBefore, setStartBefore] = useState<string | null>(null);
  const [effectUntil, setEffectUntil] = useState<string | null>(null);
  const [keyOf] = useState(idempotencyKeys);
  const isSent = useRef(false);
  const letGo = (): void => {
    isSent.current = false;
  };

  const provider = providers.find(({ id }) => id === instance);
  const action = findAction(provider, name ?? undefined);
  const fields = action === undefined ? [] : fieldsOf(action.parameters);
  const texts = Object.fromEntries(fields.map((field) => [field.name, typed[field.name] ?? field.initial]));
  const problems = action === undefined ? {} : problemsOf(action.parameters, fields, texts);

  const bodyOf = (of: Provider, asked: ProviderAction) => ({
    name: asked.name,
    ...(reason.trim() === '' ? {} : { actionReason: reason.trim() }),
    ...(clientContext.trim() === '' ? {} : { clientContext: clientContext.trim() }),
    parameters: parametersOf(fields, texts),
    vendorInformation: {
      vendor: of.vendor,
      provider: of.provider,
      ...(of.subProvider === null ? {} : { subProvider: of.subProvider }),
    },
    ...(startBefore === null ? {} : { '@riposte.startBefore': startBefore }),
    ...(effectUntil === null || !asked.revertible ? {} : { '@riposte.effectUntil': effectUntil }),
  });
  const create = useMutation({
    mutationFn: (body: object) =>
      request<NativeAction>('/api/v1/actions', {
        method: 'POST',
        body,
        headers: { 'idempotency-key': keyOf(body) },
      }),
    async onSuccess({ id }) {
      void queries.invalidateQueries({ queryKey: ['actions'] });
      toast('Action created.');
      await navigate({ to: '/actions/$id', params: { id }, replace: true });
    },
    onSettled: letGo,
  });
  const plan = useMutation({
    mutationFn: (body: object) => request<Plan>('/api/v1/actions/plan', { method: 'POST', body }),
    onSettled: letGo,
  });
  const refusal = create.error ?? plan.error;
  const ofServer = refusal === null ? {} : problemsInMessage(refusal.message, fields);

  const forget = (): void => {
    create.reset();
    plan.reset();
  };
  const send = (to: typeof create | typeof plan): void => {
    // The second press of a double click comes before the button shows that it is at it.
    if (isSent.current) return;
    setTried(true);
    forget();
    if (provider === undefined || action === undefined) return;
    const [wrong] = fields.filter((field) => problems[field.name] !== undefined);
    if (Object.keys(problems).length === 0) {
      isSent.current = true;
      to.mutate(bodyOf(provider, action));
    } else if (wrong !== undefined)
      document
        .querySelector<HTMLElement>(
          `[data-parameter="${CSS.escape(wrong.name)}"] :is(input, textarea, button)`,
        )
        ?.focus();
  };

  return (
    <Form
      className={styles['form'] ?? ''}
      onSubmit={(event) => {
        event.preventDefault();
        send(create);
      }}
    >
      <Card title="Action">
        <Select
          label="Provider"
          isRequired
          options={providers.map((one) => ({
            id: one.id,
            label:
              one.title ??
              [one.vendor === one.provider ? one.vendor : `${one.vendor} ${one.provider}`, one.subProvider]
                .filter(Boolean)
                .join(' · '),
            note: one.id,
          }))}
          value={instance}
          onChange={(id) => {
            setInstance(id);
            if (
              findAction(
                providers.find((one) => one.id === id),
                name ?? undefined,
              ) === undefined
            )
              setName(null);
            forget();
          }}
          errorMessage={isTried && provider === undefined ? 'Choose a provider.' : undefined}
        />
        <ComboBox
          // Its list is another one.
          key={instance}
          label="Action"
          isRequired
          isDisabled={provider === undefined}
          placeholder="Type part of its name, such as isolate"
          options={(provider?.actions ?? []).map((one) => ({
            id: one.name,
            label: one.name,
            note: one.deprecated === null ? one.title : `${one.title} (deprecated)`,
          }))}
          value={action?.name ?? null}
          onChange={(next) => {
            setName(next);
            setTouched(new Set());
            setTried(false);
            forget();
          }}
          errorMessage={
            isTried && provider !== undefined && action === undefined ? 'Choose an action.' : undefined
          }
        />
        {provider?.paused != null && (
          <Banner tone="warning" title="This provider is paused">
            {provider.paused.reason} New actions wait until it is resumed.
          </Banner>
        )}
        {action !== undefined && <AboutAction action={action} />}
      </Card>

      {action !== undefined && (
        <Card title="Parameters">
          {beginning.hasSecrets && (
            <Banner tone="info">
              The original had secret values, which are never shown. Enter them again.
            </Banner>
          )}
          {fields.length === 0 && <p className={styles['none']}>No parameters.</p>}
          {fields.map((field) => (
            <ParameterField
              key={`${action.name} ${field.name}`}
              field={field}
              text={texts[field.name] ?? ''}
              problem={
                ofServer[field.name] ??
                (isTried || touched.has(field.name) ? problems[field.name] : undefined)
              }
              onChange={(text) => {
                setTyped((before) => ({ ...before, [field.name]: text }));
                // What is needed and not there yet is no mistake while one is at it.
                if (text !== '') setTouched((before) => new Set([...before, field.name]));
                forget();
              }}
            />
          ))}
          {problems[''] !== undefined && <Banner tone="warning">{problems['']}</Banner>}
        </Card>
      )}

      {action !== undefined && (
        <Card title="Reason and duration">
          <TextField
            label="Reason"
            rows={2}
            maxLength={REASON_LIMIT}
            value={reason}
            onChange={setReason}
            placeholder="Case 4711: lateral movement from host-7"
            description="Kept with the action for anyone who looks at it later."
          />
          {action.revertible && (
            <TimeAhead
              label="Undo automatically at"
              description={
                action.supportsExpiry
                  ? 'Undone at this time by Riposte and by the vendor itself. Leave empty to keep it.'
                  : 'Undone at this time by Riposte. Leave empty to keep it.'
              }
              value={effectUntil}
              onChange={(time) => {
                setEffectUntil(time);
                forget();
              }}
              errorMessage={problemOf(refusal, 'effectUntil')}
            />
          )}
          <Disclosure title="More options" level={3}>
            <TimeAhead
              label="Only start before"
              description="If it has not started by then, it expires and nothing is done."
              value={startBefore}
              onChange={(time) => {
                setStartBefore(time);
                forget();
              }}
              errorMessage={problemOf(refusal, 'startBefore')}
            />
            <TextField
              label="Client context"
              maxLength={CONTEXT_LIMIT}
              value={clientContext}
              onChange={setClientContext}
              description="Your own reference, such as a ticket number, to find it by."
            />
          </Disclosure>
        </Card>
      )}

      {refusal !== null && (
        <Banner tone="danger" title={plan.isError ? 'The preview failed' : 'The action was not created'}>
          {refusal.message}
          {refusal instanceof ApiError && refusal.requestId !== null && ` (request ${refusal.requestId})`}
        </Banner>
      )}
      {plan.data !== undefined && <PlanCard plan={plan.data} />}

      <div className={styles['end']}>
        <Button
          isPending={plan.isPending}
          isDisabled={action === undefined || create.isPending}
          onPress={() => send(plan)}
        >
          Preview
        </Button>
        <Button type="submit" variant="primary" isPending={create.isPending || create.isSuccess}>
          Create
        </Button>
      </div>
    </Form>
  );
}

function AboutAction({ action }: { readonly action: ProviderAction }) {
  const { deprecated, docUrl } = action;
  const link = docUrl !== null && /^https?:\/\//i.test(docUrl) ? docUrl : null;
  return (
    <>
      {deprecated !== null && (
        <Banner tone="warning" title={`Deprecated since ${deprecated.since}`}>
          {deprecated.replacement === undefined
            ? 'It still works but will be removed in a later version.'
            : `Use ${deprecated.replacement} instead.`}
        </Banner>
      )}
      <div className={styles['about']}>
        <p>{action.title}.</p>
        <div className={styles['badges']}>
          <Badge tone={action.revertible ? 'success' : 'neutral'}>
            {action.revertible ? 'Can be undone' : 'Cannot be undone'}
          </Badge>
          <Badge>
            {action.cancellable ? 'Can be cancelled while running' : 'Cannot be cancelled once sent'}
          </Badge>
          {action.blastRadius !== null && <Badge tone="warning">Limited: {action.blastRadius}</Badge>}
          <Badge>Finishes within {duration(action.deadlineSeconds * 1000)}</Badge>
        </div>
        {action.requiredPermissions.length > 0 && (
          <p className={styles['none']}>
            The provider’s credentials need {action.requiredPermissions.join(', ')}.
          </p>
        )}
        {link !== null && (
          <a href={link} target="_blank" rel="noreferrer">
            The vendor’s page <ArrowUpRight size={13} aria-hidden />
          </a>
        )}
      </div>
    </>
  );
}

/** What the provider says that the action would do. Nothing was changed for it. */
function PlanCard({ plan: { summary, changes, warnings = [], target } }: { readonly plan: Plan }) {
  const place = useRef<HTMLDivElement>(null);
  // It is below what was filled in, perhaps out of sight.
  useEffect(() => {
    place.current?.scrollIntoView({ block: 'nearest' });
  }, []);
  return (
    <div role="status" ref={place}>
      <Card title="Preview" note="According to the provider. Nothing was changed.">
        <p className={styles['summary']}>{summary}</p>
        {changes.length === 0 ? (
          <p className={styles['none']}>Nothing would change.</p>
        ) : (
          <ul className={styles['changes']}>
            {changes.map((one) => (
              <li key={one}>{one}</li>
            ))}
          </ul>
        )}
        {warnings.map((one) => (
          <Banner key={one} tone="warning">
            {one}
          </Banner>
        ))}
        {target !== undefined && target !== null && (
          <Disclosure title="The target, as the vendor sees it">
            <CodeBlock label="the target" text={JSON.stringify(target, null, 2)} />
          </Disclosure>
        )}
      </Card>
    </div>
  );
}

/** What the API said of an option of the engine. */
function problemOf(error: Error | null, option: 'effectUntil' | 'startBefore'): string | undefined {
  return error?.message.startsWith(`@riposte.${option}`) === true ? error.message : undefined;
}
