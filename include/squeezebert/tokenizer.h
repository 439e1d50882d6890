/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer: bytes of text to word-piece ids, token types and offsets, exactly as Hugging
 * Face's `tokenizers` makes them.
 *
 * A tokenizer belongs to a model (sqz_model_tokenizer), is immutable and shared by threads. Results
 * live in an sqz_encoding, which owns growing arrays that are used again by the next call: after a
 * few texts an encoding allocates nothing.
 */
#ifndef SQUEEZEBERT_TOKENIZER_H
#define SQUEEZEBERT_TOKENIZER_H

#include <squeezebert/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sqz_tokenizer sqz_tokenizer;
typedef struct sqz_encoding sqz_encoding;

/* A text: any bytes, NUL and invalid UTF-8 among them (each maximal ill-formed part reads as
 * U+FFFD). At most 2^31 - 1 bytes. */
typedef struct sqz_text {
    const char *bytes; /* no NUL is needed at the end */
    size_t n_bytes;
} sqz_text;

/* What is cut when a text (or pair) has more than max_length pieces, special tokens included. */
typedef enum sqz_truncation {
    /* as `tokenizers`: the longer of the two is cut down to the other, then both alike */
    SQZ_TRUNCATE_LONGEST_FIRST,
    SQZ_TRUNCATE_ONLY_FIRST,
    SQZ_TRUNCATE_ONLY_SECOND,
    SQZ_TRUNCATE_ERROR          /* SQZ_ETOOLONG */
} sqz_truncation;

/* Zero-initialise, or pass NULL, for: no limit, no windows, special tokens added and recognised in
 * the text.
 *
 *   max_length             pieces of one window, special tokens included; 0 = no limit
 *   truncation             see above
 *   stride                 with windows: pieces that a window repeats from the one before; < the
 *                          pieces of text a window holds
 *   windows                0: what is over is cut; 1: it comes in further windows
 *   no_special_tokens      1: [CLS] and [SEP] are not added
 *   literal_special_tokens 1: "[SEP]" written in the text is text, not the special token (other
 *       added tokens still match)
 */
typedef struct sqz_tokenize_options {
    uint32_t max_length;
    sqz_truncation truncation;
    uint32_t stride;
    int windows;
    int no_special_tokens;
    int literal_special_tokens;
    uint64_t reserved[4];
} sqz_tokenize_options;

/* One piece. Offsets are half open, into the original text of its side, in bytes and in code points
 * (a maximal ill-formed part counts as one code point); a special token that was added has all four
 * 0. */
typedef struct sqz_piece {
    uint32_t id;
    uint32_t begin_byte, end_byte;
    uint32_t begin, end;
    /* index of the word (pre-token) in its text, UINT32_MAX for an added special token */
    uint32_t word;
    uint8_t type;         /* token type: 0, or 1 for the second text and its [SEP] */
    uint8_t sequence;     /* 0 or 1: which text the piece is from; 255 for an added special token */
    uint8_t special;      /* 1 for a special token that was added by the template */
} sqz_piece;

/* An encoding: the pieces of one or more windows, one behind the other. */
SQZ_API SQZ_NODISCARD sqz_status sqz_encoding_open(const sqz_context *context,
                                                   sqz_encoding **encoding, sqz_error *error);
SQZ_API void sqz_encoding_close(sqz_encoding *encoding);

/* Windows of the last call: 1, or more with options.windows. Window i holds pieces first(i) ..
 * first(i+1)-1. */
SQZ_API uint32_t sqz_encoding_windows(const sqz_encoding *encoding);
SQZ_API uint32_t sqz_encoding_first(const sqz_encoding *encoding, uint32_t window);
/* All pieces; the array stays valid until the next call on this encoding. */
SQZ_API const sqz_piece *sqz_encoding_pieces(const sqz_encoding *encoding);
/* The same ids and types as arrays of their own, what sqz_batch takes. */
SQZ_API const uint32_t *sqz_encoding_ids(const sqz_encoding *encoding);
SQZ_API const uint8_t *sqz_encoding_types(const sqz_encoding *encoding);
/* Pieces that were cut, 0 when the text was whole. */
SQZ_API uint32_t sqz_encoding_cut(const sqz_encoding *encoding);

/* Tokenise one text (second NULL) or a pair.
 *
 * The encoding is overwritten; on an error it is empty.
 * Cost: linear in the bytes. Threads: any number on one tokenizer, each with its own encoding.
 * SQZ_EINVAL: stride too large, max_length below the special tokens alone. SQZ_ETOOLONG: over
 * max_length with SQZ_TRUNCATE_ERROR, or only_first/only_second cannot make it fit. SQZ_ELIMIT:
 * over 2^31 - 1 bytes, or pieces and windows that would take over 16 times the bytes and some 64
 * MB. SQZ_ENOMEM.
 * Source: `tokenizers` BertNormalizer, BertPreTokenizer, WordPiece, TemplateProcessing;
 * doc/tokenizer.md lists the exceptions.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_tokenize(const sqz_tokenizer *tokenizer, sqz_text first,
                                              const sqz_text *second,
                                              const sqz_tokenize_options *options,
                                              sqz_encoding *encoding, sqz_error *error);

/* Ids 0 .. size-1. */
SQZ_API uint32_t sqz_tokenizer_size(const sqz_tokenizer *tokenizer);
/* The spelling of a piece, "##" included; normalised if it is an added token that is matched after
 * normalisation. NUL-terminated; NULL for an id out of range. Owned by the tokenizer. */
SQZ_API const char *sqz_tokenizer_piece(const sqz_tokenizer *tokenizer, uint32_t id);
/* The id of a spelling, UINT32_MAX when there is none. */
SQZ_API uint32_t sqz_tokenizer_id(const sqz_tokenizer *tokenizer, const char *piece);
/* Ids of the special tokens, UINT32_MAX where the vocabulary has none. */
typedef struct sqz_special_tokens {
    uint32_t unk, cls, sep, pad, mask;
} sqz_special_tokens;
SQZ_API sqz_special_tokens sqz_tokenizer_special(const sqz_tokenizer *tokenizer);

/* Pieces back to text, as `tokenizers`' WordPiece decoder with cleanup: joined by spaces, "##"
 * glued on, special tokens left out when asked, ids out of range always. Writes at most `capacity`
 * bytes with a NUL; *needed = bytes the whole text takes, NUL included. */
SQZ_API void sqz_tokenizer_decode(const sqz_tokenizer *tokenizer, const uint32_t *ids, size_t n_ids,
                                  int skip_special, char *text, size_t capacity, size_t *needed);

#ifdef __cplusplus
}
#endif

#endif
