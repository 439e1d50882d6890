/* SPDX-License-Identifier: Apache-2.0 */
/* From a text to the logits of a model's head, step by step: tokenizer, session, head. What
 * sqz_classify and its like do inside, for programs that want the numbers themselves.
 *
 *   logits MODEL TEXT [SECOND]
 *
 * Prints a row of logits for the text (sequence classification, multiple choice), or one a piece
 * (entities, answers, masked words). Links the runtime library alone; a run allocates nothing, so
 * a program that keeps its session and its logits answers text after text in the same memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <squeezebert/session.h>

static void print_rows(const sqz_model *model, const sqz_encoding *encoding, const float *logits)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    const uint32_t n = sqz_encoding_first(encoding, 1);
    const int per_piece = info->head != SQZ_HEAD_SEQUENCE && info->head != SQZ_HEAD_MULTIPLE_CHOICE;
    for (uint32_t i = 0; i < (per_piece ? n : 1); i++) {
        const uint32_t id = sqz_encoding_ids(encoding)[i];
        printf("%s", per_piece ? sqz_tokenizer_piece(sqz_model_tokenizer(model), id) : "text");
        for (uint32_t k = 0; k < info->n_labels; k++)
            printf(" %.6f", (double)logits[i * info->n_labels + k]);
        putchar('\n');
    }
}

static int run(sqz_model *model, sqz_session *session, sqz_encoding *encoding, int n,
               char **arguments, sqz_error *error)
{
    const sqz_model_info *info = sqz_model_get_info(model);
    const sqz_text first = {arguments[0], strlen(arguments[0])};
    const sqz_text second = {n > 1 ? arguments[1] : "", n > 1 ? strlen(arguments[1]) : 0};
    const sqz_tokenize_options options = {.max_length = info->max_length};
    if (sqz_tokenize(sqz_model_tokenizer(model), first, n > 1 ? &second : NULL, &options, encoding,
                     error))
        return 1;
    if (sqz_encoding_cut(encoding))
        fprintf(stderr, "logits: the model reads %u pieces, %u were cut\n", info->max_length,
                sqz_encoding_cut(encoding));
    const uint32_t starts[] = {0, sqz_encoding_first(encoding, 1)};
    const sqz_batch batch = {.n_sequences = 1,
                             .first = starts,
                             .ids = sqz_encoding_ids(encoding),
                             .types = sqz_encoding_types(encoding)};
    float *logits = calloc((size_t)starts[1] * info->n_labels + 1, sizeof *logits);
    if (!logits) {
        snprintf(error->text, sizeof error->text, "no memory for %u rows of logits", starts[1]);
        return 1;
    }
    const int failed = sqz_logits(session, &batch, NULL, 0, logits, info->n_labels, error) !=
                       SQZ_OK;
    if (!failed) print_rows(model, encoding, logits);
    free(logits);
    return failed;
}

int main(int n, char **arguments)
{
    if (n < 3 || n > 4) {
        fputs("usage: logits MODEL TEXT [SECOND]\n", stderr);
        return 2;
    }
    sqz_error error = {0};
    sqz_context *context = NULL;
    sqz_model *model = NULL;
    sqz_session *session = NULL;
    sqz_encoding *encoding = NULL;
    int failed = sqz_context_open(NULL, &context, &error) ||
                 sqz_model_open(context, arguments[1], &model, &error);
    if (!failed) {
        const uint32_t most = sqz_model_get_info(model)->max_length;
        const sqz_session_options room = {.max_tokens = most, .max_sequences = 1};
        failed = sqz_session_open(model, &room, &session, &error) ||
                 sqz_encoding_open(context, &encoding, &error) ||
                 run(model, session, encoding, n - 2, arguments + 2, &error);
    }
    if (failed) fprintf(stderr, "logits: %s\n", error.text);
    sqz_encoding_close(encoding);
    sqz_session_close(session);
    sqz_model_close(model);
    sqz_context_close(context);
    return failed;
}
