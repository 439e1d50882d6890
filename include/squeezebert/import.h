/* SPDX-License-Identifier: Apache-2.0 */
/* Import: a Hugging Face folder to a model file. In libsqueezebert-full. */
#ifndef SQUEEZEBERT_IMPORT_H
#define SQUEEZEBERT_IMPORT_H

#include <squeezebert/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How linear and embedding weights are stored; biases and norms stay F32. F16 and BF16 round to
 * nearest even. */
typedef enum sqz_import_type { SQZ_IMPORT_F32, SQZ_IMPORT_F16, SQZ_IMPORT_BF16 } sqz_import_type;

/* Which head is read. OF_CLASS: the one that the class in config.json's "architectures" has; a
 * class of one's own that only suggests a head ("MyBertForSequenceClassification") has it where its
 * tensors are there, and one that suggests none is read as the encoder alone. The others are
 * demanded: their tensors must be there, or for NONE are left aside. */
typedef enum sqz_import_head {
    SQZ_IMPORT_HEAD_OF_CLASS,
    SQZ_IMPORT_HEAD_NONE,
    SQZ_IMPORT_HEAD_SEQUENCE,
    SQZ_IMPORT_HEAD_TOKEN,
    SQZ_IMPORT_HEAD_QUESTION,
    SQZ_IMPORT_HEAD_MASKED_LM
} sqz_import_head;

/* Zero-initialise, or pass NULL, for f32, what the files say, and silence.
 *
 *   model_type        bert, squeezebert, distilbert or electra, in place of config.json's; NULL:
 *                     config.json's, else what its class or its keys show
 *   name              general.name; NULL: ORGANISATION/NAME of a cache of the Hugging Face Hub,
 *                     else the title of README.md, else the name of the folder
 *   strict            not 0: tensors that the model does not use are an error, not a note
 *   note(user, text)  called for what the user should know: tensors that the model does not use,
 *                     keys of config.json that nobody reads, defaults and guesses in the place of
 *                     what the files do not say
 *   labels            [n_labels] what a classifier's outputs are called, in their order, in the
 *                     place of what config.json names; n_labels 0: config.json's
 *   tokenizer         where the tokenizer's files are, if not in the model's folder: another
 *                     folder, whose settings count then, or a vocab.txt or tokenizer.json alone
 */
typedef struct sqz_import_options {
    sqz_import_type type;
    sqz_import_head head;
    const char *model_type, *name;
    int strict;
    void (*note)(void *user, const char *text);
    void *user;
    const char *tokenizer;
    const char *const *labels;
    size_t n_labels;
    uint64_t reserved[2];
} sqz_import_options;

/* Read a folder with config.json, weights and tokenizer, and write one model file.
 *
 *   folder   config.json (or bert_config.json) of model_type bert, squeezebert, distilbert or
 *            electra, with any of their heads; model.safetensors, whole or in the parts of
 *            model.safetensors.index.json (F32, F16, BF16, F64), or where there is none
 *            pytorch_model.bin (a zip file or the older row of pickles), whole or in the parts of
 *            pytorch_model.bin.index.json; tokenizer.json or vocab.txt, with
 *            tokenizer_config.json, special_tokens_map.json and added_tokens.json where they are
 *            there: what AutoTokenizer of Transformers 5.23.0 makes of them, whose order of
 *            precedence is told in src/import/tokenizer_files.c and added_files.c; and where they
 *            are there modules.json, 1_Pooling,
 *            sentence_bert_config.json and config_sentence_transformers.json (pooling,
 *            normalisation, length, prompts), README.md (licence, languages, base models).
 *            A folder of the Hub's cache (models--ORGANISATION--NAME) stands for its snapshot of
 *            main; modules.json may place the Transformer in a folder of its own; a file of a
 *            folder stands for the folder, and a file of weights for these weights
 *   path     written whole or not at all
 *
 * Nothing in the folder is executed. The file carries reference vectors made by the portable
 * kernels (sqz_model_verify) and checksums (sqz_model_check). Any number of imports to one path may
 * run at a time: the file of the last one stays.
 * Cost: one pass over the weights, once written, run on three short sequences, and read for the
 * checksums and sqz.source.sha256 (SHA-256, some 4 s a GB each); bf16 writes and runs a file in f32
 * before that, whose results are needed for the tolerance. Memory: the JSON files, and one model
 * opened at a time.
 * SQZ_EIO: a file that must be there is not; the text says what is there instead. SQZ_EFORMAT: it
 * is damaged, or a tensor is missing, has another shape or, where strict, belongs to no part of the
 * model; the text names file and tensor. SQZ_EUNSUPPORTED: a model type, activation, module,
 * setting or tokenizer that this version cannot do, by name; what was named is no folder of a
 * model. SQZ_EINVAL: an option is none that is known; there are labels and no classes, not one for
 * each, or one twice, empty or no UTF-8. SQZ_ENUMERIC: a weight is NaN or infinite. SQZ_EOUTPUT,
 * SQZ_ERESOURCE: `path` cannot be written (squeezebert/output.h), or is a file of the folder.
 * SQZ_ENOMEM.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_import(sqz_context *context, const char *folder,
                                            const char *path, const sqz_import_options *options,
                                            sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
