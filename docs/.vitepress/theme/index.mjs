import DefaultTheme from 'vitepress/theme';
import './riposte.css';

export default DefaultTheme;
