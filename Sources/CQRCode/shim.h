#include <qrcodegen/qrcodegen.h>

// The greatest code that a phone reads well from a screen, and the space that it takes; the header's macros are not seen by Swift.
enum { postern_qr_greatest = 20, postern_qr_bytes = qrcodegen_BUFFER_LEN_FOR_VERSION(20) };
