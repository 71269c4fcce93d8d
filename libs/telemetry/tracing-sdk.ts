import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  RandomIdGenerator,
  type IdGenerator,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-node';
import { ATTR_SERVICE_INSTANCE_ID, ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import { wantedSpanId } from './spans.js';

/** All of OpenTelemetry's SDK: `startTracing` loads this, and only where traces are wanted. */

type ExportArguments = Parameters<SpanExporter['export']>;

/**
 * Registers the SDK, which reads the rest of its variables itself: endpoint, headers, sampler, batches, limits.
 *
 * @param onDelivery told of each batch: null, or why it was not delivered
 * @returns sends what is there and ends; rejects or hangs as the collector does
 */
export function startSdk(service: string, onDelivery: (problem: string | null) => void): () => Promise<void> {
  const provider = new NodeTracerProvider({
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          [ATTR_SERVICE_NAME]: service,
          [ATTR_SERVICE_INSTANCE_ID]: randomUUID(),
          'host.name': hostname(),
          'process.pid': process.pid,
        }),
      )
      // Last, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
      .merge(detectResources({ detectors: [envDetector] })),
    idGenerator: knownIds(),
    spanProcessors: [new BatchSpanProcessor(new ObservedExporter(new OTLPTraceExporter(), onDelivery))],
  });
  provider.register();
  return () => provider.shutdown();
}

/** Random ids, but for spans that others know by theirs. */
function knownIds(): IdGenerator {
  const random = new RandomIdGenerator();
  return {
    generateTraceId: random.generateTraceId,
    generateSpanId: () => wantedSpanId() ?? random.generateSpanId(),
  };
}

/** The SDK tells nobody but its own log, with more of the collector's words than are to be shown. */
class ObservedExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #onDelivery: (problem: string | null) => void;

  constructor(exporter: SpanExporter, onDelivery: (problem: string | null) => void) {
    this.#exporter = exporter;
    this.#onDelivery = onDelivery;
  }

  export(spans: ExportArguments[0], done: ExportArguments[1]): void {
    this.#exporter.export(spans, (result) => {
      this.#onDelivery(result.error === undefined ? null : problemOf(result.error));
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }

  async forceFlush(): Promise<void> {
    await this.#exporter.forceFlush?.();
  }
}

/** An HTTP status, or the code of a broken connection. */
function problemOf(error: Error): string {
  const { code } = error as { readonly code?: string | number };
  return code === undefined ? error.name : String(code);
}
