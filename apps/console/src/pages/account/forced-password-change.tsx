import { Gate } from '../../shell/gate.tsx';
import { PasswordForm } from './password-form.tsx';

/** Before anything else: the password was given by somebody else, who knows it. */
export function ForcedPasswordChange() {
  return (
    <Gate
      title="Choose a password"
      note="Someone else knows the password you signed in with. Choose one that only you know."
    >
      <PasswordForm submit="Save and continue" />
    </Gate>
  );
}
