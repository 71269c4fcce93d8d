import { Check, Minus } from 'lucide-react';
import type { ReactNode } from 'react';
import {
  Checkbox as AriaCheckbox,
  type CheckboxProps as AriaCheckboxProps,
} from 'react-aria-components/Checkbox';
import { Switch as AriaSwitch, type SwitchProps as AriaSwitchProps } from 'react-aria-components/Switch';
import styles from './toggle.module.css';

export interface CheckboxProps extends Omit<AriaCheckboxProps, 'className' | 'style' | 'children'> {
  /** Without, `aria-label` has to say what it is. */
  readonly children?: ReactNode;
}

/** Yes or no, which counts once a form is sent; or one of the chosen. */
export function Checkbox({ children, ...props }: CheckboxProps) {
  return (
    <AriaCheckbox {...props} className={styles['toggle'] ?? ''}>
      <span className={styles['box']} aria-hidden>
        {props.isIndeterminate === true ? (
          <Minus size={13} strokeWidth={3} />
        ) : (
          <Check size={13} strokeWidth={3} />
        )}
      </span>
      {children}
    </AriaCheckbox>
  );
}

export interface SwitchProps extends Omit<AriaSwitchProps, 'className' | 'style' | 'children'> {
  readonly children: ReactNode;
}

/** Yes or no, which counts at once. */
export function Switch({ children, ...props }: SwitchProps) {
  return (
    <AriaSwitch {...props} className={styles['toggle'] ?? ''}>
      <span className={styles['track']} aria-hidden>
        <span className={styles['knob']} />
      </span>
      {children}
    </AriaSwitch>
  );
}
