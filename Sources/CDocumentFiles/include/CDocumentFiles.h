// The documentation as HTML, as scripts/documents has put it into `generated`. A build without that step has none.
#pragma once

#include <stddef.h>

struct postern_document_file {
    const char *name;
    // Compressed with gzip.
    const unsigned char *packed;
    size_t packed_count;
};

// How many files there are; 0 where `scripts/documents` was not run.
size_t postern_document_file_count(void);
struct postern_document_file postern_document_file(size_t index);
