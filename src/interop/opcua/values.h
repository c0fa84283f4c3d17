#pragma once
// The batches of values that the OPC UA connector sends. Bytes in, structures out; the format is in
// docs/opcua.md.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "stream/report.h"

namespace penstock::interop::opcua {

struct BatchLimits {
  size_t values_max = 100'000;  ///< a message
  size_t address_bytes_max = 1024;
  size_t device_bytes_max = 128;
};

/// Good, uncertain or bad by the severity bits of a StatusCode (Part 4, 7.39.1).
stream::Quality quality_of(uint32_t status_code);

/// One a shard: its memory stays.
class BatchReader {
 public:
  using Take =
      std::function<void(std::string_view device, std::span<const stream::WireValue> values)>;
  /// Calls `take` once for each device of the batch; the views hold within the call. A batch that
  /// is damaged gives an error and, before it, the devices that stand whole.
  Status read(ByteView batch, const BatchLimits& limits, const Take& take);

 private:
  std::vector<stream::WireValue> values_;
  std::vector<std::pair<size_t, size_t>> addresses_;  // offset and size in text_
  std::string text_;
};

}  // namespace penstock::interop::opcua
