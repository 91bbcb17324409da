#include "CDocumentFiles.h"

// #embed is C23; clang takes it in C17 as well.
#pragma clang diagnostic ignored "-Wc23-extensions"

#if __has_include("generated/list.inc")
#include "generated/list.inc"
#else
static const struct postern_document_file files[] = {{0}};
#define COUNT 0
#endif

size_t postern_document_file_count(void) { return COUNT; }

struct postern_document_file postern_document_file(size_t index) { return files[index]; }
