/* SPDX-License-Identifier: Apache-2.0 */
/* Options of squeezing as such: the line of sqz.history that says how a file was made. */
#ifndef SQZI_SQUEEZE_HISTORY_H
#define SQZI_SQUEEZE_HISTORY_H

#include <squeezebert/squeeze.h>
#include <stdbool.h>

enum { SQZI_HISTORY_TEXT = 1024 };

/* "squeeze --bits 4 --embedding pq:64, calibrated on 812 texts of 16391 pieces"; n_texts 0: on
 * none. `verb` is what the line begins with. */
void sqzi_squeeze_history(const char *verb, const sqz_squeeze_options *options, uint32_t n_texts,
                          uint32_t n_pieces, char line[SQZI_HISTORY_TEXT]);

/* What another step says in the same line. */
void sqzi_squeeze_history_add(char line[SQZI_HISTORY_TEXT], const char *more);

/* A lever is set, or a budget. */
bool sqzi_squeeze_has_lever(const sqz_squeeze_options *options);
/* One that is not of the vocabulary alone, which changes no number. */
bool sqzi_squeeze_changes_numbers(const sqz_squeeze_options *options);

#endif
