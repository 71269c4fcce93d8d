import { ApiProperty } from '@nestjs/swagger';
import type { Json } from '#domain';
import { anything } from './action.dto.js';

/** What an action would do, as its plugin says. */
export class PlanDto {
  @ApiProperty({ description: 'One sentence: what would change, at what.' })
  summary!: string;
  @ApiProperty({ type: [String], description: 'What would change; none where nothing would.' })
  changes!: readonly string[];
  @ApiProperty({ type: [String], required: false, description: 'What speaks against it.' })
  warnings?: readonly string[];
  @ApiProperty({ ...anything, required: false, description: 'The target as the vendor knows it.' })
  target?: Json;
}

/** Whether the effect of an action is in place, as its plugin says. */
export class ObservedStateDto {
  @ApiProperty({ type: Boolean, nullable: true, description: 'Null: the vendor does not tell.' })
  inPlace!: boolean | null;
  @ApiProperty({ description: 'In words.' })
  message!: string;
  @ApiProperty({ ...anything, required: false })
  details?: Json;
}
