// Facts of Core 1.1.1, appendix E, as lines: "id name" of an object, then its resources as
// "id|name|operations|type[*]|units", '*' for multiple.

#include <charconv>

#include "interop/lwm2m/objects.h"

namespace penstock::interop::lwm2m {
namespace {

constexpr std::string_view kObjects = R"(
=0|Security|1.1|multiple
0|LWM2M Server URI||string
1|Bootstrap-Server||boolean
2|Security Mode||integer
3|Public Key or Identity||opaque
4|Server Public Key||opaque
5|Secret Key||opaque
6|SMS Security Mode||integer
7|SMS Binding Key Parameters||opaque
8|SMS Binding Secret Key(s)||opaque
9|LwM2M Server SMS Number||string
10|Short Server ID||integer
11|Client Hold Off Time||integer|s
12|Bootstrap-Server Account Timeout||integer|s
13|Matching Type||unsigned
14|SNI||string
15|Certificate Usage||unsigned
16|DTLS/TLS Ciphersuite||unsigned*
17|OSCORE Security Mode||objlnk
=1|LwM2M Server|1.1|multiple
0|Short Server ID|R|integer
1|Lifetime|RW|integer|s
2|Default Minimum Period|RW|integer|s
3|Default Maximum Period|RW|integer|s
4|Disable|E|none
5|Disable Timeout|RW|integer|s
6|Notification Storing When Disabled or Offline|RW|boolean
7|Binding|RW|string
8|Registration Update Trigger|E|none
9|Bootstrap-Request Trigger|E|none
10|APN Link|RW|objlnk
11|TLS-DTLS Alert Code|R|unsigned
12|Last Bootstrapped|R|time
13|Registration Priority Order||unsigned
14|Initial Registration Delay Timer||unsigned|s
15|Registration Failure Block||boolean
16|Bootstrap on Registration Failure||boolean
17|Communication Retry Count||unsigned
18|Communication Retry Timer||unsigned|s
19|Communication Sequence Delay Timer||unsigned|s
20|Communication Sequence Retry Count||unsigned
21|Trigger|RW|boolean
22|Preferred Transport|RW|string
23|Mute Send|RW|boolean
=2|LwM2M Access Control|1.1|multiple
0|Object ID|R|integer
1|Object Instance ID|R|integer
2|ACL|RW|integer*
3|Access Control Owner|RW|integer
=3|Device|1.1|single
0|Manufacturer|R|string
1|Model Number|R|string
2|Serial Number|R|string
3|Firmware Version|R|string
4|Reboot|E|none
5|Factory Reset|E|none
6|Available Power Sources|R|integer*
7|Power Source Voltage|R|integer*|mV
8|Power Source Current|R|integer*|mA
9|Battery Level|R|integer|%
10|Memory Free|R|integer|KiB
11|Error Code|R|integer*
12|Reset Error Code|E|none
13|Current Time|RW|time
14|UTC Offset|RW|string
15|Timezone|RW|string
16|Supported Binding and Modes|R|string
17|Device Type|R|string
18|Hardware Version|R|string
19|Software Version|R|string
20|Battery Status|R|integer
21|Memory Total|R|integer|KiB
22|ExtDevInfo|R|objlnk*
=4|Connectivity Monitoring|1.2|single
0|Network Bearer|R|integer
1|Available Network Bearer|R|integer*
2|Radio Signal Strength|R|integer|dBm
3|Link Quality|R|integer
4|IP Addresses|R|string*
5|Router IP Addresses|R|string*
6|Link Utilization|R|integer|%
7|APN|R|string*
8|Cell ID|R|integer
9|SMNC|R|integer
10|SMCC|R|integer
11|SignalSNR|R|integer|dB
12|LAC|R|integer
=5|Firmware Update|1.1|single
0|Package|W|opaque
1|Package URI|RW|string
2|Update|E|none
3|State|R|integer
5|Update Result|R|integer
6|PkgName|R|string
7|PkgVersion|R|string
8|Firmware Update Protocol Support|R|integer*
9|Firmware Update Delivery Method|R|integer
10|Cancel|E|none
11|Severity|RW|integer
12|Last State Change Time|R|time
13|Maximum Defer Period|RW|unsigned|s
=6|Location|1.0|single
0|Latitude|R|float|lat
1|Longitude|R|float|lon
2|Altitude|R|float|m
3|Radius|R|float|m
4|Velocity|R|opaque
5|Timestamp|R|time
6|Speed|R|float|m/s
=7|Connectivity Statistics|1.0|single
0|SMS Tx Counter|R|integer
1|SMS Rx Counter|R|integer
2|Tx Data|R|integer|KiB
3|Rx Data|R|integer|KiB
4|Max Message Size|R|integer|B
5|Average Message Size|R|integer|B
6|Start|E|none
7|Stop|E|none
8|Collection Period|RW|integer|s
=8|Lock and Wipe|1.0|single
0|State|RW|integer
1|Lock Target|W|string*
2|Wipe Item|R|string*
3|Wipe|E|none
4|Wipe Target|W|string*
5|Lock or Wipe Operation Result|R|integer
=9|LWM2M Software Management|1.0|multiple
0|PkgName|R|string
1|PkgVersion|R|string
2|Package|W|opaque
3|Package URI|W|string
4|Install|E|none
5|Checkpoint|R|objlnk
6|Uninstall|E|none
7|Update State|R|integer
8|Update Supported Objects|RW|boolean
9|Update Result|R|integer
10|Activate|E|none
11|Deactivate|E|none
12|Activation State|R|boolean
13|Package Settings|RW|objlnk
14|User Name|W|string
15|Password|W|string
)";

// Resources whose id means the same in every object (registry: reusable resources).
constexpr std::string_view kReusable = R"(
5500|Digital Input State|R|boolean
5501|Digital Input Counter|R|integer
5502|Digital Input Polarity|RW|boolean
5503|Digital Input Debounce|RW|integer|ms
5504|Digital Input Edge Selection|RW|integer
5505|Digital Input Counter Reset|E|none
5506|Current Time|RW|time
5507|Fractional Time|RW|float|s
5513|Latitude|R|string
5514|Longitude|R|string
5515|Altitude|R|string
5516|Uncertainty|R|string
5517|Velocity|R|opaque
5518|Timestamp|R|time
5536|Position|RW|float|%
5550|Digital Output State|RW|boolean
5551|Digital Output Polarity|RW|boolean
5600|Analog Input Current Value|R|float
5601|Min Measured Value|R|float
5602|Max Measured Value|R|float
5603|Min Range Value|R|float
5604|Max Range Value|R|float
5605|Reset Min and Max Measured Values|E|none
5650|Analog Output Current Value|RW|float
5700|Sensor Value|R|float
5701|Sensor Units|R|string
5702|X Value|R|float
5703|Y Value|R|float
5704|Z Value|R|float
5705|Compass Direction|R|float|deg
5706|Colour|RW|string
5750|Application Type|RW|string
5751|Sensor Type|R|string
5800|Instantaneous active power|R|float|W
5805|Cumulative active power|R|float|Wh
5820|Power factor|R|float
5821|Current Calibration|RW|float
5822|Reset Cumulative energy|E|none
5823|Event Identifier|RW|string
5850|On/Off|RW|boolean
5851|Dimmer|RW|integer|/100
5852|On time|RW|integer|s
5853|Multi-state Output|RW|string
5900|Set Point Value|RW|float
6042|Measurement Quality Indicator|R|integer
6049|Measurement Quality Level|R|integer
6050|Fractional Timestamp|R|float|s
)";

// Takes the text up to `end` off the front.
std::string_view take(std::string_view& text, char end) {
  const size_t at = std::min(text.find(end), text.size());
  const std::string_view out = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return out;
}

uint16_t take_id(std::string_view& text) {
  const std::string_view digits = take(text, '|');
  uint16_t id = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), id);
  return id;
}

ResourceDefinition read_resource(std::string_view line) {
  ResourceDefinition out;
  out.id = take_id(line);
  out.name = take(line, '|');
  const std::string_view operations = take(line, '|');
  out.readable = operations.find('R') != std::string_view::npos;
  out.writable = operations.find('W') != std::string_view::npos;
  out.executable = operations.find('E') != std::string_view::npos;
  std::string_view type = take(line, '|');
  out.multiple = type.ends_with('*');
  if (out.multiple) type.remove_suffix(1);
  out.type = parse_data_type(type);
  out.units = line;
  return out;
}

}  // namespace

std::map<uint16_t, ObjectDefinition> built_in_objects() {
  std::map<uint16_t, ObjectDefinition> out;
  ObjectDefinition* object = nullptr;
  for (std::string_view text = kObjects.substr(1); !text.empty();) {
    std::string_view line = take(text, '\n');
    if (line.starts_with('=')) {
      line.remove_prefix(1);
      const uint16_t id = take_id(line);
      object = &out[id];
      object->id = id;
      object->name = take(line, '|');
      object->version = take(line, '|');
      object->multiple = line == "multiple";
      object->mandatory = id == 0 || id == 1 || id == 3;
      object->source = "built in";
    } else if (object != nullptr) {
      object->resources.push_back(read_resource(line));
    }
  }
  return out;
}

const std::map<uint16_t, ResourceDefinition>& reusable_resources() {
  static const std::map<uint16_t, ResourceDefinition> all = [] {
    std::map<uint16_t, ResourceDefinition> out;
    for (std::string_view text = kReusable.substr(1); !text.empty();) {
      ResourceDefinition resource = read_resource(take(text, '\n'));
      out.emplace(resource.id, resource);
    }
    return out;
  }();
  return all;
}

}  // namespace penstock::interop::lwm2m
