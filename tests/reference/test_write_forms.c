/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the f32 forms of tests/support as model files for against_ref.py: FOLDER/0.gguf, 1.gguf,
 * ... and a line "file, head, name" for each. */
#include <stdio.h>

#include "support/test.h"
#include "support/tiny_model.h"

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    int n = 0;
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        char path[512];
        if (form->tiny.type != SQZI_F32) continue; /* ref does not round as bf16 and s8 runs do */
        snprintf(path, sizeof path, "%s/%d.gguf", argv[1], n++);
        sqzt_tiny_write(&form->tiny, path);
        printf("%s\t%s\t%s\n", path, form->tiny.head ? form->tiny.head : "none", form->name);
    }
    return 0;
}
