/* SPDX-License-Identifier: Apache-2.0 */
/* What bytes are, before anybody reads them as text. */
#ifndef SQZI_TEXT_BYTES_H
#define SQZI_TEXT_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* Nothing but spaces, TABs and CRs? */
bool sqzi_is_blank(const char *bytes, size_t n);

/* Well-formed UTF-8 (Unicode 15, table 3-7)? NUL is. */
bool sqzi_is_utf8(const char *bytes, size_t n);

/* What an input is whose first bytes these are, and what to do, where they are no text: UTF-16, a
 * compressed file, a spreadsheet; else NULL. *known false: more bytes are needed to tell. */
const char *sqzi_no_text(const char *bytes, size_t n, bool *known);

#endif
