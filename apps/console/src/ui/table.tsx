// Safari takes its roles from a table that is laid out as cards; named, they stay.
/* oxlint-disable jsx-a11y/no-redundant-roles, jsx-a11y/no-interactive-element-to-noninteractive-role */
import type { ReactNode } from 'react';
import { classNames } from './class-names.ts';
import styles from './table.module.css';

export interface Column<Row> {
  readonly id: string;
  /** Its heading; hidden from the eye with `hideHeading`, as over buttons. */
  readonly heading: string;
  readonly hideHeading?: boolean;
  /** Figures stand at the right, one under the other. */
  readonly isFigure?: boolean;
  /** Left out on a narrow screen. */
  readonly isSecondary?: boolean;
  readonly cell: (row: Row) => ReactNode;
}

export interface TableProps<Row> {
  /** What it shows, for who does not see it. */
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string;
  /** On a phone each row is a card; default: the table scrolls. */
  readonly stacks?: boolean;
}

/** A table of some rows, all of which are there. It scrolls sideways, or stacks, where it is too wide. */
export function Table<Row>({ label, columns, rows, rowKey, stacks = false }: TableProps<Row>) {
  return (
    // What scrolls has to be reached by the keyboard. A landmark is what it is in.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={styles['scroller']} role="group" aria-label={label} tabIndex={0}>
      <table
        className={classNames(styles['table'], stacks && styles['stacks'])}
        role="table"
        aria-label={label}
      >
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <th key={column.id} scope="col" role="columnheader" className={look(column)}>
                {column.hideHeading === true ? (
                  <span className="visually-hidden">{column.heading}</span>
                ) : (
                  column.heading
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={rowKey(row)} role="row">
              {columns.map((column) => (
                <td
                  key={column.id}
                  role="cell"
                  className={look(column)}
                  data-heading={column.hideHeading === true ? undefined : column.heading}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function look({ isFigure, isSecondary }: Pick<Column<never>, 'isFigure' | 'isSecondary'>): string {
  return classNames(isFigure === true && styles['figure'], isSecondary === true && styles['secondary']);
}
