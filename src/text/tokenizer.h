/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a tokenizer and of an encoding. */
#ifndef SQZI_TOKENIZER_H
#define SQZI_TOKENIZER_H

#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

/* What the scanner does with a byte: the fast path of ASCII. */
typedef enum sqzi_byte_kind { SQZI_BYTE_LETTER, SQZI_BYTE_SPACE, SQZI_BYTE_OTHER } sqzi_byte_kind;

typedef struct sqzi_added {
    uint32_t id, flags;
    char *text; /* as matched: normalised where the flag says so; a NUL behind it */
    size_t n;
} sqzi_added;

/* Added tokens that are matched in one pass: by first byte, longest first. */
typedef struct sqzi_added_list {
    sqzi_added *tokens;
    uint32_t n;
    uint32_t first[257]; /* tokens that begin with byte b: first[b] .. first[b + 1] - 1 */
    int only;            /* the single first byte there is, or -1 */
    uint32_t *by_id;     /* [n] the tokens by number; NULL before sqzi_added_list_index */
} sqzi_added_list;

struct sqz_tokenizer {
    sqz_allocator allocator;
    sqzi_vocabulary vocabulary;
    bool clean_text, handle_chinese_chars, strip_accents, lowercase;
    uint32_t max_word_chars, max_piece; /* bytes of a piece that a word may hold */
    sqz_special_tokens special;
    sqzi_added_list added[2];         /* found before, and after normalisation */
    sqzi_template_item *templates[2]; /* of one text, of a pair */
    uint32_t n_template[2];
    uint64_t *powers;  /* [max_piece + 1] of the hash's P */
    uint8_t kind[256]; /* sqzi_byte_kind */
    uint8_t lower[128];
};

/* Where a normalised byte came from. */
typedef struct sqzi_origin {
    uint32_t begin, end; /* bytes of the text */
    uint32_t code;       /* index of the code point */
} sqzi_origin;

struct sqz_encoding {
    sqz_allocator allocator;
    sqzi_buffer side[2]; /* sqz_piece of each text, before windows and template */
    sqzi_buffer pieces, ids, types, first;
    /* the word being read: bytes, where each is from, hash of what stands before each */
    sqzi_buffer word, origins, hashes;
    /* a whole segment, only where tokens are matched after normalisation */
    sqzi_buffer normalised, sources;
    sqzi_buffer run; /* marks being put in canonical order */
    /* pieces of each text, those that side[] did not keep among them */
    uint32_t n_side[2];
    uint32_t n_windows, cut;
};

/* The pieces of one text into encoding->side[sequence], its offsets and word numbers among them
 * (scan.c). */
/* Where what is over is cut, no more than max_length are kept: a text of any length is cut in the
 * memory of a short one. */
SQZ_NODISCARD sqz_status sqzi_tokenizer_scan(const sqz_tokenizer *tokenizer, sqz_text text,
                                             const sqz_tokenize_options *options, uint8_t sequence,
                                             sqz_encoding *encoding, sqz_error *error);
/* Normalise a text whole (for the spelling of added tokens): bytes into encoding->normalised. */
SQZ_NODISCARD sqz_status sqzi_tokenizer_normalise(const sqz_tokenizer *tokenizer, sqz_text text,
                                                  sqz_encoding *encoding, sqz_error *error);

/* A found added token, or a stretch of text (token NULL). Offsets into the text searched. */
typedef struct sqzi_segment {
    const sqzi_added *token;
    size_t begin, end;
} sqzi_segment;
/* Walk the segments of a text: *at begins at 0, *resume too; false at the end. A token found behind
 * a stretch of text waits in *held (added_tokens.c). */
typedef struct sqzi_segmenter {
    const sqzi_added_list *list;
    const unsigned char *text;
    size_t n;
    bool literal;
    size_t at, resume;
    sqzi_segment held;
} sqzi_segmenter;
bool sqzi_next_segment(sqzi_segmenter *segmenter, sqzi_segment *segment);

SQZ_NODISCARD sqz_status sqzi_added_list_open(const sqz_allocator *allocator,
                                              const sqzi_added_token *tokens, uint32_t n,
                                              bool normalised, sqzi_added_list *list,
                                              sqz_error *error);
void sqzi_added_list_close(const sqz_allocator *allocator, sqzi_added_list *list);
/* After the texts have been changed: order by first byte and length. */
void sqzi_added_list_sort(sqzi_added_list *list);
/* For sqzi_added_list_find, behind the last change. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_added_list_index(const sqz_allocator *allocator,
                                               sqzi_added_list *list, sqz_error *error);
/* The token with a number, NULL where there is none. */
const sqzi_added *sqzi_added_list_find(const sqzi_added_list *list, uint32_t id);

/* Cut both sides, lay out the windows and put the template around them (windows.c). */
SQZ_NODISCARD sqz_status sqzi_tokenizer_finish(const sqz_tokenizer *tokenizer, bool pair,
                                               const sqz_tokenize_options *options,
                                               sqz_encoding *encoding, sqz_error *error);

#endif
