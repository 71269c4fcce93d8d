import { Gate } from '../../shell/gate.tsx';
import { PasswordForm } from './password-form.tsx';

/** Before anything else: the password was given by somebody else, who knows it. */
export function ForcedPasswordChange() {
  return (
    <Gate
      title="Choose a password"
      note="The one you signed in with was given to you by somebody else. Choose one that only you know."
    >
      <PasswordForm submit="Save and go on" />
    </Gate>
  );
}
