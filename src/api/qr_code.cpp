#include "api/qr_code.h"

#include <iterator>
#include <memory>

#include <fmt/format.h>
#include <qrencode.h>

namespace penstock::api {

Result<QrCode> qr_code(std::string_view text) {
  if (text.empty() || text.size() > 1000)
    return fail(ErrorCode::kInvalidArgument, "a QR code holds 1 to 1000 bytes",
                std::string(text.substr(0, 60)));
  const std::unique_ptr<QRcode, decltype(&QRcode_free)> made(
      QRcode_encodeData(static_cast<int>(text.size()),
                        reinterpret_cast<const unsigned char*>(text.data()), 0, QR_ECLEVEL_M),
      &QRcode_free);
  if (!made) return fail(ErrorCode::kInternal, "the QR code could not be made");
  QrCode out{{}, made->width};
  for (int y = 0; y < made->width; ++y)
    for (int x = 0; x < made->width;) {
      const auto dark = [&](int at) { return (made->data[y * made->width + at] & 1) != 0; };
      if (!dark(x)) {
        ++x;
        continue;
      }
      int end = x + 1;
      while (end < made->width && dark(end)) ++end;
      fmt::format_to(std::back_inserter(out.path), "M{} {}h{}v1H{}z", x, y, end - x, x);
      x = end;
    }
  return out;
}

}  // namespace penstock::api
