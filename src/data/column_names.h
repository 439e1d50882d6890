/* SPDX-License-Identifier: Apache-2.0 */
/* Names of columns, for finding them and for messages. */
#ifndef SQZI_COLUMN_NAMES_H
#define SQZI_COLUMN_NAMES_H

#include <squeezebert/data.h>
#include <stdbool.h>

/* Is the text this word? false for NULL. */
bool sqzi_text_is(sqz_text text, const char *word);

/* "'id', 'body', 'label' and 4 more": `names` [n], `stride` bytes apart, into `to`; "none" where
 * there are none. Long names are cut, control characters become spaces. */
enum { SQZI_NAMES_BYTES = 240 };
void sqzi_list_names(const sqz_text *names, size_t n, size_t stride, char to[SQZI_NAMES_BYTES]);

/* What a message adds that misses a column, where the header's names [n] look as if another layout
 * had been meant than cells with `separator` between them in lines: "; ..."; else "". */
const char *sqzi_header_hint(const sqz_text *names, size_t n, char separator);

#endif
