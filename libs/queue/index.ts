export { BullActionQueue } from './bull-action-queue.js';
export { HintConsumer, assertTakesSignal, hintProcessor, type ConsumerOptions, type HintHandler, type TakenHint } from './hint-consumer.js';
