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

enum { SQZI_PREFIX = 256, SQZI_MOST_MODULES = 8 };

typedef struct sqzi_importer {
    sqz_context *context;
    const char *given; /* what the user named */
    /* Where modules.json and README.md lie, and where config.json, weights and tokenizer do: the
     * same, unless modules.json has the Transformer in a folder of its own (locate.c). */
    const char *folder, *transformer;
    const char *config_file; /* "config.json", or "bert_config.json" of old folders */
    const char *weights;     /* the file of weights that was named; NULL: the usual ones */
    struct {
        char folder[SQZI_JSON_PATH], transformer[SQZI_JSON_PATH];
    } places;
    sqz_import_options options;
    sqzi_source source;
    /* weights of the layers behind the pooling, each in a folder of its own */
    sqzi_source modules[SQZI_MOST_MODULES];
    uint32_t n_modules;
    /* those layers are the head, and the first of them is its pooler (head_modules.c) */
    bool head_beside, pooler_beside;
    json_t *config;
    sqzi_gguf_writer *writer;
    sqzi_architecture architecture;
    const sqzi_layout *layout;            /* of the architecture */
    const char *model_type, *class_name;  /* of config.json */
    sqz_head_kind head;
    /* false: the class only suggests the head, and without its tensors the encoder is read alone */
    bool head_required;
    bool has_labels; /* the head that was read names its outputs */
    uint32_t vocabulary, positions, token_types, blocks, heads, width, ffn_width, embedding_width,
        classes;
    uint32_t groups[SQZI_BLOCK_LINEARS];
    const char *activation;
    double epsilon, block_epsilon;
    bool lower_texts; /* those to be embedded, whatever the tokenizer does */
    const char *features[4];              /* sqz.requires */
    uint32_t n_features;
    /* before the encoder's names, "" where the file has none */
    char prefix[SQZI_PREFIX];
    sqz_error *error;
} sqzi_importer;

/* `given` to folder, transformer, config_file and weights. SQZ_EIO, SQZ_EFORMAT, SQZ_EUNSUPPORTED:
 * what was named holds no model, and what it is instead (locate.c). */
SQZ_NODISCARD sqz_status sqzi_import_locate(sqzi_importer *importer);
/* config.json to the fields above and to the writer's description (config.c). */
SQZ_NODISCARD sqz_status sqzi_import_config(sqzi_importer *importer);
/* Weights of embedding and blocks, and of the head with its description (encoder_tensors.c,
 * heads.c). */
SQZ_NODISCARD sqz_status sqzi_import_encoder(sqzi_importer *importer);
SQZ_NODISCARD sqz_status sqzi_import_head(sqzi_importer *importer);
/* Vocabulary, normaliser, added tokens, templates (tokenizer_files.c has the rule). */
SQZ_NODISCARD sqz_status sqzi_import_tokenizer(sqzi_importer *importer);
/* What sentence-transformers keeps beside a model, before the tokenizer is read: pooling and what
 * is behind it, length, prompts (sentence_files.c). Of it the modules alone; n_kept numbers of an
 * embedding are kept, or with 0 all of them (sentence_modules.c). */
SQZ_NODISCARD sqz_status sqzi_import_texts(sqzi_importer *importer);
SQZ_NODISCARD sqz_status sqzi_import_modules(sqzi_importer *importer, const json_t *modules,
                                             uint32_t n_kept);

/* Whether modules.json says that a classifier stands beside an encoder that has no head, as an
 * export writes it where no class has one: head_beside, and the head's kind. Then the modules are
 * not layers of embeddings: sqzi_import_modules reads them as the head (head_modules.c). */
SQZ_NODISCARD sqz_status sqzi_import_find_head_beside(sqzi_importer *importer);
/* What the head reads, and what is said of its layer `part` ("head.dense"), a Dense module whose
 * word is `word` or with NULL a LayerNorm. SQZ_EFORMAT: no head is made so. */
SQZ_NODISCARD sqz_status sqzi_import_head_pool(const sqzi_importer *importer, const char *file,
                                               const char *mode);
SQZ_NODISCARD sqz_status sqzi_import_head_layer(const sqzi_importer *importer, const char *file,
                                                const char *part, const char *word);
/* Problem and labels of m->classes (problem.c). */
SQZ_NODISCARD sqz_status sqzi_import_classes(sqzi_importer *importer);

/* Licence, languages, base models and the name, from README.md and the path; sqz.source.sha256
 * (provenance.c). */
SQZ_NODISCARD sqz_status sqzi_import_provenance(sqzi_importer *importer);

/* May it stand in a model file: UTF-8 without control characters, not empty (provenance.c)? */
bool sqzi_import_is_text(sqzi_span text);

/* SQZ_EOUTPUT: a model file of this path would take the place of a file of the folder
 * (own_files.c). */
SQZ_NODISCARD sqz_status sqzi_import_check_output(const sqzi_importer *importer, const char *path);

/* Names of tensors (tensor_names.c). The prefix of the encoder is found by what the names have
 * before the encoder's own; several that would do are an error. */
SQZ_NODISCARD sqz_status sqzi_import_find_prefix(sqzi_importer *importer);
/* The tensor of this name, without prefix, wherever it stands: under the encoder's prefix, a part
 * of it, another usual one or none, and as .gamma or .beta. NULL where there is none. */
sqzi_source_tensor *sqzi_import_find(const sqzi_importer *importer, const char *name);
/* SQZ_EFORMAT: it is missing; which tensors look like it. */
sqz_status sqzi_import_fail_missing(const sqzi_importer *importer, const char *name);
/* One note of the tensors that nothing has used; SQZ_EFORMAT where options.strict. */
SQZ_NODISCARD sqz_status sqzi_import_tell_unused(const sqzi_importer *importer);

/* Read a tensor: the number that stands i-th in row order (encoder_tensors.c). */
double sqzi_import_number(const sqzi_source_tensor *tensor, uint64_t i);

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
/* The same for a tensor that was found, of any source that lives until the file is written. */
SQZ_NODISCARD sqz_status sqzi_import_found(sqzi_importer *importer, sqzi_wanted wanted,
                                           sqzi_source_tensor *tensor);
/* from.weight and from.bias as name.weight and name.bias. A linear has columns, a norm none. */
SQZ_NODISCARD sqz_status sqzi_import_layer(sqzi_importer *importer, const char *name,
                                           const char *from, uint32_t rows, uint32_t columns,
                                           bool required, bool *found);

/* Tell the user (import_notes.c). */
void sqzi_import_note(const sqzi_importer *importer, const char *format, ...) SQZI_PRINTF(2, 3);
/* "a, b, c and 12 more", to be zero-initialised. */
typedef struct sqzi_name_list {
    char text[1024];
    uint32_t n, left_out;
} sqzi_name_list;
void sqzi_list_name(sqzi_name_list *list, const char *name);
/* The list as a sentence goes on: sets text's end. Call it once, when all are in. */
const char *sqzi_listed(sqzi_name_list *list);

/* Labels of the classes, config.json's id2label or label2id (labels.c). */
SQZ_NODISCARD sqz_status sqzi_import_labels(sqzi_importer *importer);
/* Labels that the caller gave are those of some head. */
SQZ_NODISCARD sqz_status sqzi_import_check_labels(const sqzi_importer *importer);
/* Keys of config.json that nothing reads, in one note (config_keys.c). */
void sqzi_import_tell_keys(const sqzi_importer *importer);
/* SQZ_EUNSUPPORTED: a key of config.json asks for what would change a number and is not done. */
SQZ_NODISCARD sqz_status sqzi_import_check_keys(const sqzi_importer *importer);
/* model_type, class and head (model_class.c). */
SQZ_NODISCARD sqz_status sqzi_import_model_class(sqzi_importer *importer);

#endif
