/* SPDX-License-Identifier: Apache-2.0 */
/* The word that a walk over a text is reading, and its spelling in pieces. */
#ifndef SQZI_SPELL_H
#define SQZI_SPELL_H

#include "text/scan.h"

/* A piece of the text from the code point of `first` to that of `last`; past `keep` it is counted
 * alone. */
sqz_status sqzi_spell_piece(sqzi_scan *s, uint32_t id, sqzi_origin first, sqzi_origin last);
/* A code point in its final form joins the word at hand. */
sqz_status sqzi_spell_letter(sqzi_scan *s, uint32_t code, sqzi_origin origin);
/* A code point in its final form: it ends a word, is one by itself, or joins the one at hand. With
 * `whole` it goes to the normalised text instead. */
sqz_status sqzi_spell_code(sqzi_scan *s, uint32_t code, sqzi_origin origin);
/* A normalised code point but for its case, on its way into words. */
sqz_status sqzi_scan_emit(sqzi_scan *s, uint32_t code, sqzi_origin origin);
/* Spell the word at hand: the longest piece from its beginning on, then from there on. A word that
 * cannot be spelt whole, or is too long, is one unknown piece; SQZ_ETOKEN where there is none. */
sqz_status sqzi_spell_word(sqzi_scan *s);
/* Room for twice the bytes of a word. */
sqz_status sqzi_spell_grow(sqzi_scan *s);
/* The notes of where bytes came from that a plain word did without. */
void sqzi_spell_note(sqzi_scan *s);

#endif
