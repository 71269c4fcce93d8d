import { ChevronRight } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button } from 'react-aria-components/Button';
import { Disclosure as AriaDisclosure, DisclosurePanel } from 'react-aria-components/Disclosure';
import { Heading } from 'react-aria-components/Heading';
import styles from './disclosure.module.css';

/** A part that most do not need, shown when it is asked for. */
export function Disclosure({
  title,
  level = 3,
  isOpenAtFirst = false,
  children,
}: {
  readonly title: string;
  readonly level?: number;
  readonly isOpenAtFirst?: boolean;
  readonly children: ReactNode;
}) {
  return (
    <AriaDisclosure className={styles['disclosure'] ?? ''} defaultExpanded={isOpenAtFirst}>
      <Heading level={level} className={styles['heading'] ?? ''}>
        <Button slot="trigger" className={styles['button'] ?? ''}>
          <ChevronRight size={14} aria-hidden />
          {title}
        </Button>
      </Heading>
      <DisclosurePanel>
        <div className={styles['panel']}>{children}</div>
      </DisclosurePanel>
    </AriaDisclosure>
  );
}
