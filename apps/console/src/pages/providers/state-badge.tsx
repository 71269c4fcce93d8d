import { CircleCheck, CircleHelp, CircleX, Gauge, Pause, type LucideIcon } from 'lucide-react';
import type { Provider } from '../../api/types.ts';
import { Badge, type Tone } from '../../ui/badge.tsx';
import { stateOf } from './provider-state.ts';

const ICONS: Readonly<Record<Tone, LucideIcon>> = {
  neutral: CircleHelp,
  info: CircleHelp,
  success: CircleCheck,
  warning: Gauge,
  danger: CircleX,
  unknown: CircleHelp,
};

/** How an instance fares, in a word. */
export function StateBadge({ provider }: { readonly provider: Provider }) {
  const { label, tone } = stateOf(provider);
  return (
    <Badge tone={tone} icon={provider.paused === null ? ICONS[tone] : Pause}>
      {label}
    </Badge>
  );
}
