import '@fontsource-variable/inter/opsz.css';
import './styles/tokens.css';
import './styles/base.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { applyTheme } from './shell/preferences.ts';
import { allowNoMarkup } from './trusted-types.ts';

allowNoMarkup();
applyTheme();
// A page that was loaded before an update asks for parts that are gone with it.
window.addEventListener('vite:preloadError', (event) => {
  const key = 'riposte.reloaded';
  if (sessionStorage.getItem(key) === event.payload.message) return;
  sessionStorage.setItem(key, event.payload.message);
  event.preventDefault();
  window.location.reload();
});

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
