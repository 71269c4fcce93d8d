import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';

/**
 * Serves the OpenAPI 3.1 document at `/openapi.json` and a page that shows it at `/docs`.
 * @param others routes that are no controller's
 */
export function mountOpenApi(
  app: NestFastifyApplication,
  publicUrl: string,
  others: OpenAPIObject['paths'] = {},
): void {
  const description = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Riposte')
    .setDescription(
      'Security actions by the Microsoft Graph (beta) securityAction contract, and the native API beside it.',
    )
    .setVersion('0.1.0')
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addServer(publicUrl)
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' })
    .build();
  const document = SwaggerModule.createDocument(app, description);
  Object.assign(document.paths, others);
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const method of ['get', 'post'] as const) {
      const operation = operations[method];
      // Unique per path, where one handler serves several.
      if (operation !== undefined)
        operation.operationId = `${method}${path.replaceAll(/[^A-Za-z0-9]+(.)?/g, (_all, next: string | undefined) => next?.toUpperCase() ?? '')}`;
    }
  }
  SwaggerModule.setup('docs', app, document, {
    jsonDocumentUrl: 'openapi.json',
    customSiteTitle: 'Riposte API',
  });
}
