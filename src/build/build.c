/* SPDX-License-Identifier: Apache-2.0 */
/* A build from outside. */
#include "base/error.h"
#include "build/builder.h"

const sqz_build_result *sqz_build_get(const sqz_build *b)
{
    return &b->result;
}

sqz_status sqz_build_run(sqz_context *context, const char *base, sqz_dataset *dataset,
                         const char *out, const sqz_build_options *options, sqz_build **made,
                         sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_build *b = NULL;
    const sqz_build begun = {.context = context, .dataset = dataset, .base = base, .out = out};
    FAIL_IF(!context || !base || !dataset || !out || !made, SQZ_EINVAL, 0,
            "sqz_build_run: an argument is NULL");
    *made = NULL;
    TRY(sqzi_build_open(&begun, options, &b, error));
    TRY(sqzi_build_run(b, b->options.compress ? sqzi_build_budget : sqzi_build_make, error));
    *made = b;
    return SQZ_OK;
fail:
    sqz_build_close(b);
    return status;
}
