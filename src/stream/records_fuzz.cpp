// Any bytes as a record of samples: never a crash; what can be read comes back the same when it is
// written and read again.

#include <cstring>

#include "base/check.h"
#include "stream/records.h"

using namespace penstock;
using namespace penstock::stream;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<Sample> first, second;
  const auto view = decode_samples({reinterpret_cast<const std::byte*>(data), size}, first);
  if (!view) return 0;
  for (const Sample& sample : view->samples)
    if (sample.kind == ValueKind::kText || sample.kind == ValueKind::kObject)
      CHECK(view->text_of(sample).size() == sample.text.length);
  Bytes body;
  encode_samples(body, *view);
  const auto again = decode_samples(body, second);
  CHECK(again && again->text == view->text && second.size() == first.size());
  CHECK(first.empty() ||
        std::memcmp(first.data(), second.data(), first.size() * sizeof(Sample)) == 0);
  return 0;
}
