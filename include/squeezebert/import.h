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

/* Zero-initialise, or pass NULL, for f32 and silence.
 *
 *   note(user, text)  called for what the user should know: tensors that the model does not use,
 *                     labels that the source does not name
 *   tokenizer         where the tokenizer's files are, if not in the model's folder: another
 *                     folder, whose settings count then, or a vocab.txt or tokenizer.json alone
 */
typedef struct sqz_import_options {
    sqz_import_type type;
    void (*note)(void *user, const char *text);
    void *user;
    const char *tokenizer;
} sqz_import_options;

/* Read a folder with config.json, weights and tokenizer, and write one model file.
 *
 *   folder   config.json of model_type bert, squeezebert, distilbert or electra, with any of their
 *            heads; model.safetensors, whole or in the parts of model.safetensors.index.json (F32,
 *            F16, BF16, F64), or where there is none pytorch_model.bin (a zip file or the older row
 *            of pickles), whole or in the parts of pytorch_model.bin.index.json; tokenizer.json or
 *            vocab.txt, with tokenizer_config.json, special_tokens_map.json and added_tokens.json
 *            where they are there: what AutoTokenizer of Transformers 5.23.0 makes of them, whose
 *            order of precedence is told in src/import/tokenizer_files.c and added_files.c; and
 *            modules.json, 1_Pooling, sentence_bert_config.json and
 *            config_sentence_transformers.json (pooling, normalisation, length, prompts)
 *   path     written whole or not at all
 *
 * Nothing in the folder is executed. The file carries reference vectors made by the portable
 * kernels (sqz_model_verify) and checksums (sqz_model_check). Any number of imports to one path may
 * run at a time: the file of the last one stays.
 * Cost: one pass over the weights, once written, run on three short sequences, and read for the
 * checksums (SHA-256, some 4 s a GB); bf16 writes and runs a file in f32 before that, whose results
 * are needed for the tolerance. Memory: the JSON files, and one model opened at a time.
 * SQZ_EIO: a file that must be there is not. SQZ_EFORMAT: it is damaged, or a tensor is missing,
 * has another shape or belongs to no part of the
 * model; the text names file and tensor. SQZ_EUNSUPPORTED: a model type, activation, module or
 * tokenizer that this version cannot do, by name. SQZ_ENUMERIC: a weight is NaN or infinite.
 * SQZ_EOUTPUT, SQZ_ERESOURCE: `path` cannot be written (squeezebert/output.h). SQZ_ENOMEM.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_import(sqz_context *context, const char *folder,
                                            const char *path, const sqz_import_options *options,
                                            sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
