/* SPDX-License-Identifier: Apache-2.0 */
/* One import: what has been read, and the writer that it goes to. */
#ifndef SQZI_IMPORTER_H
#define SQZI_IMPORTER_H

#include <squeezebert/import.h>
#include <squeezebert/model.h>

#include "base/error.h"
#include "import/json_file.h"
#include "import/names.h"
#include "import/source_tensors.h"
#include "io/gguf.h"

typedef struct sqzi_importer {
    sqz_context *context;
    const char *folder;
    sqz_import_options options;
    sqzi_source source;
    json_t *config;
    sqzi_gguf_writer *writer;
    sqzi_architecture architecture;
    const sqzi_layout *layout;            /* of the architecture */
    const char *model_type, *class_name;  /* of config.json */
    sqz_head_kind head;
    uint32_t vocabulary, positions, token_types, blocks, heads, width, ffn_width, embedding_width,
        classes;
    /* attn_q, attn_k, attn_v, attn_output, ffn_up, ffn_down */
    uint32_t groups[SQZI_LINEARS];
    const char *activation;
    double epsilon, block_epsilon;
    /* before the encoder's names, "" where the file has none */
    const char *prefix;
    sqz_error *error;
} sqzi_importer;

/* config.json to the fields above and to the writer's description (config.c). */
SQZ_NODISCARD sqz_status sqzi_import_config(sqzi_importer *importer);
/* Weights of embedding and blocks, and of the head with its description (encoder_tensors.c,
 * heads.c). */
SQZ_NODISCARD sqz_status sqzi_import_encoder(sqzi_importer *importer);
SQZ_NODISCARD sqz_status sqzi_import_head(sqzi_importer *importer);
/* Vocabulary, normaliser, added tokens, templates (tokenizer_files.c has the rule). */
SQZ_NODISCARD sqz_status sqzi_import_tokenizer(sqzi_importer *importer);
/* Pooling, normalisation, length, prompts (sentence_files.c). */
SQZ_NODISCARD sqz_status sqzi_import_texts(sqzi_importer *importer);

/* Put the source's tensor under our name; columns 0: a vector. weight: stored in the type asked
 * for, else F32. An absent one is an error where required; *found (may be NULL) tells. */
typedef struct sqzi_wanted {
    const char *name;        /* in the file that is written */
    const char *from;        /* in the source, without the encoder's prefix */
    uint32_t rows, columns;
    bool weight, required;
} sqzi_wanted;
SQZ_NODISCARD sqz_status sqzi_import_tensor(sqzi_importer *importer, sqzi_wanted wanted,
                                            bool *found);
/* from.weight and from.bias as name.weight and name.bias. A linear has columns, a norm none. */
SQZ_NODISCARD sqz_status sqzi_import_layer(sqzi_importer *importer, const char *name,
                                           const char *from, uint32_t rows, uint32_t columns,
                                           bool required, bool *found);

void sqzi_import_note(const sqzi_importer *importer, const char *format, ...) SQZI_PRINTF(2, 3);

#endif
