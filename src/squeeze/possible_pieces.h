/* SPDX-License-Identifier: Apache-2.0 */
/* Which pieces a tokenizer can ever cut a text into: a piece is spelt with what the normaliser can
 * leave. */
#ifndef SQZI_POSSIBLE_PIECES_H
#define SQZI_POSSIBLE_PIECES_H

#include "text/tokenizer_spec.h"

/* possible[id] becomes true for each piece id < n that the words of some text may be cut into, and
 * single[id] where it is one character; what is true stays so. Every code point is normalised once:
 * a letter that comes of none of them is in no word, nor is a piece that holds it. Sure of what it
 * leaves false; of what it makes true some may be no text's. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_possible_pieces(const sqz_tokenizer *tokenizer, uint32_t n,
                                              bool *possible, bool *single, sqz_error *error);

/* The same tokenizer without pieces [n] that are left out: words that held one are spelt with
 * others, if they can be. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_tokenizer_without(const sqz_tokenizer *tokenizer,
                                                const bool *left_out, uint32_t n,
                                                sqz_tokenizer **out, sqz_error *error);

#endif
