/* SPDX-License-Identifier: Apache-2.0 */
/* The lines between "---" and "---" that a README.md of the Hugging Face Hub begins with: the part
 * of YAML that model cards use, and the first heading behind it. Nothing is allocated; what is not
 * understood is passed over. */
#ifndef SQZI_FRONT_MATTER_H
#define SQZI_FRONT_MATTER_H

#include <stdbool.h>

#include "base/span.h"

/* At most this much of the file is looked at. */
enum { SQZI_CARD_BYTES = 1 << 16 };

/* The card's lines between the two "---", empty where it has none; *rest: what is behind them. */
sqzi_span sqzi_front_matter(sqzi_span card, sqzi_span *rest);

/* The values of a key in the first column, in order: "key: value", "key: [a, b]", or lines "- a"
 * below "key:". Quotes and comments are taken off. How many there are; at most `most` are kept. */
size_t sqzi_front_values(sqzi_span matter, const char *key, sqzi_span *values, size_t most);

/* The first heading "# ...", without it, outside of blocks of code; false where there is none. */
bool sqzi_card_title(sqzi_span rest, sqzi_span *title);

#endif
