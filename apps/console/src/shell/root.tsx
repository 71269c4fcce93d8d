import { Outlet, useRouter } from '@tanstack/react-router';
import { I18nProvider } from 'react-aria-components/I18nProvider';
import { RouterProvider } from 'react-aria-components';
import { isOutside } from '../session/return-to.ts';
import { ToastRegion } from '../ui/toast.tsx';

/** What every page has: links that stay in the page, English, a place for messages. */
export function Root() {
  const router = useRouter();
  return (
    <I18nProvider locale="en-GB">
      <RouterProvider
        navigate={(href) => {
          if (isOutside(href)) window.location.assign(href);
          else void router.navigate({ href });
        }}
      >
        <Outlet />
        <ToastRegion />
      </RouterProvider>
    </I18nProvider>
  );
}
