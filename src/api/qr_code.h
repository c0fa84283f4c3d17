#pragma once
// QR codes (ISO/IEC 18004) as SVG. libqrencode stays in qr_code.cpp.

#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::api {

/// A path in module coordinates, "M0 0h7v1H0z…", and how many modules a side has, without the quiet
/// zone of four modules that every code needs around it.
struct QrCode {
  std::string path;
  int modules = 0;
};

/// Error correction M: 15 % of the code may be dirty. kInvalidArgument: empty, or over 1000 bytes.
Result<QrCode> qr_code(std::string_view text);

}  // namespace penstock::api
