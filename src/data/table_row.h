/* SPDX-License-Identifier: Apache-2.0 */
/* A row of a table cut into cells. */
#ifndef SQZI_TABLE_ROW_H
#define SQZI_TABLE_ROW_H

#include <squeezebert/data.h>

#include "base/memory.h"

/* Append the cells of row [n] to `cells` (items sqz_text, which point into the row). Quotes that
 * mean something are taken off, in place. quotes AUTO stands for a tsv's rule here. A quote that
 * nothing closes reaches to the end. SQZ_ENOMEM, SQZ_ELIMIT past the limit of `cells`. */
SQZ_NODISCARD sqz_status sqzi_row_split(char *row, size_t n, char separator, sqz_quotes quotes,
                                        sqzi_buffer *cells, sqz_error *error);

#endif
