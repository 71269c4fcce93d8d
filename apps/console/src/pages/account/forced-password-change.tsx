import { Gate } from '../../shell/gate.tsx';
import { PasswordForm } from './password-form.tsx';

/** Before anything else: the password was printed or given by somebody else, and is good for one sign-in. */
export function ForcedPasswordChange() {
  return (
    <Gate
      title="Choose a password"
      note="The password you signed in with was good for this once. Choose one that only you know."
    >
      <PasswordForm submit="Save and continue" />
    </Gate>
  );
}
