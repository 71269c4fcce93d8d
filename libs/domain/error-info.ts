import type { ErrorInfo } from './action.js';

/** The fixed `errorInfo.code` values; they follow HTTP's meanings. */
export const ERROR_INFO_CODES = {
  parametersRefused: 400,
  credentialsRefused: 401,
  permissionMissing: 403,
  targetUnknown: 404,
  timedOut: 408,
  conflict: 409,
  expired: 410,
  vendorRateLimited: 429,
  cancelled: 499,
  defect: 500,
  vendorError: 502,
  vendorUnreachable: 503,
  vendorFull: 507,
  outcomeUnknown: 520,
} as const;

/** Characters of a message. */
export const MESSAGE_LIMIT = 1000;

/** Builds an `errorInfo`; the message is cut at 1,000 characters. */
export function errorInfo(code: number, message: string, subcode = 0): ErrorInfo {
  return {
    code,
    subcode,
    message: message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT - 1)}…` : message,
  };
}
