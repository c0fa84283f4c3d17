// Every text that people read, in one place: ready for translation, and easy to read in one go for its tone.
// Plain words, no exclamation marks, what happened and what to do.

const many = (n: number, one: string, more: string) => `${n.toLocaleString('en-GB')} ${n === 1 ? one : more}`;

export const t = {
  name: 'Penstock',
  words: {
    on: 'on', off: 'off', yes: 'yes', no: 'no', now: 'now', none: 'none', never: 'never', any: 'any', all: 'all',
    ago: (age: string) => `${age} ago`, ahead: (age: string) => `${age} ahead of the clock`,
    online: 'online', offline: 'offline', stale: 'stale', copied: 'Copied', optional: 'optional',
    offline_since: (age: string) => `offline for ${age}`, stale_since: (age: string) => `silent for ${age}`, never_seen: 'nothing received yet',
    unit: 'Unit', since: (time: string) => `since ${time}`,
  },
  priority: { critical: 'Critical', high: 'High', medium: 'Medium', low: 'Low' },
  quality: { good: 'Good', uncertain: 'Uncertain', bad: 'Bad' },
  role: {
    technician: 'Technician', operator: 'Operator', engineer: 'Engineer', data_scientist: 'Data scientist',
    executive: 'Executive', partner: 'Partner', auditor: 'Auditor', administrator: 'Administrator',
  },
  actions: {
    retry: 'Try again', close: 'Close', cancel: 'Cancel', save: 'Save', saving: 'Saving…', copy: 'Copy', remove: 'Remove', edit: 'Edit', add: 'Add',
    back: 'Back', next: 'Continue', load_more: 'Show more', details: 'Details', refresh: 'Refresh', download: 'Download CSV',
  },
  states: { error: 'This could not be read', loading: 'Loading', partial: 'Shown as last read.' },
  errors: {
    status: (status: number) => `The server answered ${status} without a reason.`,
    unreachable: 'The server cannot be reached. Check the network; this page tries again by itself once it is live.',
    page_gone: 'This part of the page could not be loaded. The server may have been updated: load the page again.',
    not_json: (detail: string) => `This is not JSON: ${detail}`,
  },
  missing: { title: 'Nothing here', hint: 'This address leads nowhere. It may have been removed or mistyped.' },
  nav: {
    main: 'Main', home: ', to the overview', skip: 'To the content', overview: 'Overview', sites: 'Sites', alarms: 'Alarms', devices: 'Devices', connections: 'Connections',
    discovery: 'Discovery', dead_letters: 'Dead letters', models: 'Models', bindings: 'Bindings', rules: 'Rules', system: 'System', settings: 'Settings', search: 'Search', more: 'More',
    alarm_strip: 'Open alarms by priority',
  },
  live: {
    live: 'Live', connecting: 'Connecting', stopped: 'Stopped',
    stopped_at: (time: string) => `Live stopped at ${time}.`, stopped_hint: 'What you see is from then.',
    retry_in: (wait: string) => `Next try in ${wait}.`, retrying: 'Trying now.', retry_now: 'Try now',
  },
  search: {
    open: 'Search', title: 'Search', placeholder: 'An asset, a site, a model, an alarm, a page', nothing: (q: string) => `Nothing is called “${q}”.`,
    hint: 'Type a part of a name.', kinds: { twin: 'Asset', site: 'Site', model: 'Model', alarm: 'Alarm', page: 'Page' }, results: (n: number) => many(n, 'result', 'results'),
    move: 'to move', open_it: 'to open', leave: 'to leave',
  },
  welcome: {
    title: 'Welcome to Penstock', checking: 'Checking your link…', intro: 'Your link is good. Choose how you sign in from now on.',
    bad: 'This link does not work', ask: 'Ask an administrator for a new one, or sign in if you have a password already.',
    name: 'Your name', email: 'Email', password: 'Password', again: 'Password again', password_hint: 'At least 10 characters. A short sentence is better than odd characters.',
    differ: 'The two passwords differ.', done: 'Set password and go on',
  },
  sign_in: { title: 'Sign in', email: 'Email', password: 'Password', go: 'Sign in', going: 'Signing in…', first: 'The first administrator has not signed in yet: open the one-time link that the server printed when it started.', out: 'Sign out' },
  overview: {
    title: 'Overview', assets: (n: number) => many(n, 'asset', 'assets'), online: (n: number) => `${n} online`, offline: (n: number) => `${n} offline`, stale: (n: number) => `${n} stale`,
    online_of: (n: number, of: number) => `${n} of ${of} online`, need: 'Needs attention', all_alarms: 'All alarms', more: (n: number) => `${n} more`,
    calm: 'Nothing needs you', calm_hint: 'There is no open alarm.', empty: 'No site yet', empty_hint: 'Connect the first device; a site is made on the way.',
    ingest: 'What comes in', samples: 'Samples', messages: 'Messages', refused: 'Refused', unknown: 'Unknown devices',
  },
  site: {
    no_assets: 'No asset yet', assets: 'Assets', name: 'Asset', last_seen: 'Last seen', trend: (minutes: number) => `Last ${minutes} min`, find: 'Find an asset', none_found: 'No asset matches.',
    alarms: 'Open alarms', list: 'Table', cards: 'Cards', local_time: 'Local time', status: 'Status', add: 'Add site', title_field: 'Name', zone: 'Time zone', zone_hint: 'Days and times of this site are told in it.',
    slug: 'Short name', slug_hint: 'For addresses and the command line; cannot be changed later.', worst_first: 'Worst first',
  },
  asset: {
    values: 'Values', element: 'Element', value: 'Value', quality: 'Quality', time: 'Time', unit: 'Unit', age: 'Age', trends: 'Trends', show: (name: string) => `Show the trend of ${name}`,
    alarms: 'Open alarms', commands: 'Commands', relationships: 'Relationships', about: 'About', model: 'Model', site: 'Site', device: 'Device', parent: 'Part of', children: 'Has', labels: 'Labels', labelled: (key: string) => key,
    ranges: { '15m': '15 min', '1h': '1 h', '6h': '6 h', '24h': '24 h', '7d': '7 d', '30d': '30 d' } as Record<string, string>, range: 'Time range', zoom_out: 'Back to live', window: 'Window', earlier: 'Earlier', later: 'Later', closer: 'Zoom in', wider: 'Zoom out', every: 'Every sample', every_hint: 'Up to 100 000 samples, not thinned',
    zoom_hint: 'Drag to zoom · double-click to go back', resolution: (bucket: string) => `${bucket} per point, band from lowest to highest`, raw: 'every sample', thinned: 'thinned to what the eye can see', points: (n: number) => many(n, 'point', 'points'),
    truncated: 'The limit of points was reached: zoom in for the rest.', gap: 'No data', no_history: 'No data in this time.', no_numeric: 'Nothing to draw: this asset has no numeric element.', none_chosen: 'Choose an element to see its trend.',
    no_data: 'Nothing received yet', no_data_hint: 'Values appear here when the device sends its first message.', send: 'Send', sending: 'Sending…', sent: (id: string) => `Sent. Request ${id}.`, queued: (id: string) => `The device is offline; it gets this when it returns. Request ${id}.`, completed: (id: string) => `Done. Request ${id}.`,
    no_commands: 'Its model has no commands.', no_relationships: 'None.', detector: 'Anomaly detection', detector_none: 'No model watches this asset yet.', detector_start: 'Watch it', detector_learn: 'Learn again', detector_learn_hint: 'Learns anew from the latest healthy data.',
    detector_state: { learning: 'Learning', active: 'Watching', failed: 'Failed', disabled: 'Off' }, rules: 'Rules that reach it', no_rules: 'None.', new_rule: 'New rule', now: 'now', minimum: 'Lowest', maximum: 'Highest', average: 'Average', limit: 'Limit', property: 'Property', command_empty: 'This command takes nothing.', json: 'As JSON', move_cursor: 'Chart: arrow keys move the cursor', history_alarms: 'Earlier alarms',
  },
  alarms: {
    title: 'Alarms', none_open: 'no alarms', state: { active: 'Active', acknowledged: 'Acknowledged', cleared: 'Cleared', closed: 'Closed' }, ack: 'Ack', acknowledge: 'Acknowledge', pending: 'Pending…',
    acknowledge_what: (message: string, twin: string) => `Ack: ${message}, ${twin}`, ack_failed: 'Not acknowledged.', not_read: 'The alarms could not be read.',
    filter_state: 'State', filters: { open: 'Open', active: 'Unacknowledged', cleared: 'Cleared', closed: 'Closed' }, filter_priority: 'Priority', filter_site: 'Site', every_priority: 'Every priority', every_site: 'Every site', find: 'Find in alarms',
    none: 'No alarms', none_match: 'No alarm matches these filters.', all_well: 'Nothing is wrong, or nothing says so: see System for what watches.', choose: 'Choose an alarm', choose_hint: 'Its cause, what follows and what to do stand here.',
    keys: { move: 'next, previous', ack: 'acknowledge', open: 'open the asset' }, raised: 'Raised', cleared: 'Cleared', acknowledged: 'Acknowledged', by: (who: string) => `by ${who}`, still: 'still there', value: 'Value', limit: 'Limit', duration: 'For',
    cause: 'Probable cause', consequence: 'If nobody acts', action: 'What to do', reason: 'Why: which sensors', reason_hint: 'Share of each sensor in the deviation from its healthy time.', since: (time: string, age: string) => `since ${time} (${age})`, trend: 'Around that time', trend_none: 'There is no history around that time.',
    history: 'History', what: { raised: 'Raised', acknowledged: 'Acknowledged', cleared: 'Cleared', note: 'Note', closed: 'Closed' } as Record<string, string>, note: 'Note', note_placeholder: 'What you saw or did', add_note: 'Add note', adding: 'Adding…', with_note: 'Note (optional)', source: { rule: 'Rule', detector: 'Anomaly detection' }, to_asset: 'Open asset', nobody: 'system',
    selected: (n: number, of: number) => `${n} of ${of}`, system: 'Penstock', distance: 'From healthy', times: (n: string) => `${n} × the limit`, score_hint: 'How far it was from its healthy time when the alarm came, as a multiple of what that time allowed', gone: 'This alarm is not here any more.', list: 'List of alarms', raised_here: 'raised', against: (value: string, limit: string) => `${value}, limit ${limit}`,
    load: { title: 'Alarm load, last 24 hours', raised: 'Raised', mean: 'Per 10 min', mean_hint: 'Mean of the last 24 hours. About 1 is what one operator can handle, 2 the most.', most: 'Most in 10 min', most_hint: 'More than 10 is a flood.', flood: 'flood', waiting: 'Unacknowledged', standing: 'Open over 24 h', standing_hint: 'Fewer than 5 is good.', at_least: (n: string) => `≥ ${n}`, picture: (n: number, most: number) => `${n} alarms in 24 hours, at most ${most} in ten minutes`, from: '24 h ago' },
  },
  devices: {
    title: 'Devices', none: 'No device yet', none_hint: 'Connect one: it takes a minute.', find: 'Find a device', id: 'Device', feeds: 'Feeds', site: 'Site', state: 'State', last_seen: 'Last seen', model: 'Model', none_found: 'No device matches.', secret: 'Signs in with', token: 'token', password: 'password', certificate: 'certificate',
    connection: 'Connection', connected_at: 'Connected', disconnected: 'Last connected', client: 'Client', address: 'Address', detail: 'Why it went', messages: 'Messages', samples: 'Samples accepted', rejected: 'Refused', last_rejection: 'Newest refusal', since_start: 'since the server started',
    credentials: 'Credentials', rotate: 'New token', rotate_hint: 'The old token stops working at once; the device is disconnected.', rotate_title: 'Make a new token?', disable: 'Disable', enable: 'Enable', disabled: 'disabled', disabled_hint: 'It cannot connect.', remove: 'Remove device', remove_title: (id: string) => `Remove ${id}?`, remove_hint: 'Its credentials stop working at once. Its asset and history stay.', remove_name: (id: string) => `Type ${id} to confirm`,
    why: 'Why it is silent', notes: 'To know', severity: { error: 'Error', warning: 'Warning', info: 'Note' } as Record<string, string>, interval: 'Speaks every', clock: 'Clock, ahead of ours', label: 'Label', label_open: 'QR code for the machine', replace: 'Replace', replace_title: (id: string) => `Replace ${id}?`, replace_hint: 'Other hardware takes its place: asset, history and binding stay; the old credentials stop working at once.', replace_why: 'Why (for the record)', serial: 'Serial number of the new one', new_name: 'New name on the wire', new_name_hint: 'Empty: the same name.', replaced: 'Replaced',
    danger: 'Access', settings: 'Settings', stale_after: 'Offline after', seconds: 's of silence', application: 'application', bindings: 'Names on the wire', wire: 'On the wire', scale: 'Scale', offset: 'Offset', to_asset: 'Open asset', created: 'Added', default_stale: 'server default', try: 'Speak as this device', try_hint: 'TOKEN stands for its token, which only the device knows. Make a new one under Access if it is lost.', refused: 'Newest refused messages', all_refused: 'All',
  },
  connect: {
    speaks: 'How does it speak?', speaks_hint: { mqtt: 'The device publishes to this server. Its names are those of the model, or a binding says what they mean.', http: 'The device posts JSON, CSV or line protocol; an answer of 200 means stored.', sparkplug: 'An edge node publishes births and metrics to this server; a binding says which metric is which element.', opcua: 'Penstock goes to the OPC UA server, and you pick from its address space.', lwm2m: 'The device registers here over CoAP; what its binding needs is observed by itself.' } as Record<string, string>,
    to_opcua: 'Add an OPC UA server', group: 'Group ID', node: 'Edge node ID', part: 'Device ID', part_hint: 'Empty: the edge node itself.', binding: 'Binding', binding_hint: 'What its addresses mean. One serves every device of the kind.', no_binding: 'None: its names are those of the model', own_topic: 'Its binding reads the topic',
    title: 'Connect a device', steps: { what: 'Where and what', name: 'Name', code: 'Credentials', live: 'First message' }, site: 'Site', new_site: 'New site…', model: 'Model', model_hint: 'What it measures: names, units and limits come from the model.', upload_model: 'Upload a model', no_models: 'There is no model yet. Upload one, or let the device speak first: Discovery proposes a model from what it sends.',
    display: 'Display name', display_placeholder: 'Compressor 13', id: 'Device name', id_hint: 'On the wire: devices/<name>/telemetry. Lower-case letters, digits and dashes; cannot be changed later.', create: 'Register', creating: 'Registering…',
    ready: (name: string) => `${name} is registered`, once: 'This token is shown once. Store it in the device now; a new one can be made at any time.', username: 'User name', token: 'Token (MQTT password)', server: 'Server', topic: 'Topic', try: 'Send a first message', languages: { mosquitto: 'mosquitto_pub', js: 'mqtt.js', python: 'Python', settings: 'Settings' } as Record<string, string>,
    waiting: 'Waiting for the first message…', waiting_hint: 'This page notices by itself. Run the command above, or start the device.', connected: 'Connected; no value accepted yet.', received: (n: string) => `First message received at ${n}`, received_hint: 'Its values are durable in the journal and live on its page.', refused: 'A message came and was refused', not_yet: 'Not yet connected', to_asset: 'Open the asset', another: 'Connect another', values: 'Values received', install: 'Needs the package', leave: 'The token cannot be shown again. Leave?', language: 'Show it for',
  },
  models: {
    title: 'Models', none: 'No model yet', none_hint: 'A model is a DTDL interface: what a kind of machine measures, in which unit, within which limits.', upload: 'Upload model', name: 'Model', id: 'Identifier', elements: 'Elements', commands: 'Commands', twins: 'Assets', extends: 'Extends', find: 'Find a model',
    document: 'DTDL document', drop: 'Drop a file here, choose one, or paste below', choose: 'Choose file', paste: 'DTDL (JSON)', check: 'Upload', uploading: 'Uploading…', refused: 'The model was not accepted', added: (n: number) => `${many(n, 'model', 'models')} added`, range: 'Range', semantic: 'Meaning', kind: 'Kind', type: 'Type', telemetry: 'Telemetry', property: 'Property', writable: 'writable',
    remove: 'Remove model', remove_title: 'Remove this model?', remove_hint: 'Only a model that no asset and no other model uses can be removed.', relationships: 'Relationships', components: 'Components', any: 'any', line: (line: number, column: number) => `line ${line}, column ${column}`, about: 'At',
  },
  protocols: { mqtt: 'MQTT', sparkplug: 'Sparkplug B', lwm2m: 'LwM2M', opcua: 'OPC UA', http: 'HTTP' } as Record<string, string>,
  connections: {
    title: 'Connections', bridges: 'Other MQTT brokers', add_bridge: 'Add a bridge', no_bridges: 'None. A bridge takes what devices send to a broker that you have already, and acknowledges it there only when it is durable here.', nodes: 'Sparkplug edge nodes', no_nodes: 'None has spoken yet. Connect one, or add a bridge to the broker it publishes to.', name: 'Name', state: 'State', broker: 'Broker', messages_in: 'Messages in', messages_out: 'Messages out', since: 'Since', node: 'Group / edge node', sequence: 'bdSeq / seq', metrics: 'Metrics', gaps: 'Gaps', rebirths: 'Rebirths asked', last_message: 'Last message', unregistered: 'not registered', ask_rebirth: 'Ask for a rebirth', rebirth_asked: 'Asked',
    states: { disabled: 'Switched off', connecting: 'Connecting', connected: 'Connected', waiting: 'Waiting to try again', online: 'Online', offline: 'Offline', unborn: 'No birth yet', unconfirmed: 'To be confirmed', stale: 'Stale' } as Record<string, string>,
    host: 'Host', port: 'Port', port_hint: 'Empty: 1883, with TLS 8883.', version: 'Version', tls: 'TLS', no_tls: 'Without TLS the password goes over the network as it is.', certificates: 'Certificates', ca: 'Authorities to trust (PEM)', ca_hint: 'Empty: those of the system.', own_certificate: 'Own certificate with chain (PEM)', key: 'Its key (PEM)', kept: 'One is kept; empty leaves it as it is.', sealed: 'Kept sealed, never shown again.', server_name: 'Name in the broker’s certificate', server_name_hint: 'Empty: the host.', subscribe: 'Taken from it', subscribe_hint: 'Topic filters, one a line.', publish: 'Given to it', publish_hint: 'Our topics, one a line: commands to devices behind it.', saved: 'Saved. The connection is made anew.', last_error: 'Last error', next: 'Next try', waiting: 'Waiting for the journal', waiting_out: 'Waiting for the broker', redelivered: 'Came twice, taken once', dropped: 'Not delivered', unmatched: 'To nobody’s topic', expires: 'Certificate expires', remove_bridge: 'Remove bridge', remove_hint: 'The other broker keeps its session of us until that expires.',
  },
  bindings: {
    title: 'Bindings', intro: 'What a kind of device sends, and which element of its model each value is. One binding serves every device of that kind, at every site.', none: 'No binding yet', none_hint: 'A device whose names are those of its model needs none. Make one for devices that speak their own way.', new: 'New binding', name: 'Binding', protocol: 'Protocol', topic: 'Topic', model: 'Model', devices: 'Devices', version: 'Active', changed: 'Changed', draft: 'draft', never_active: 'not yet', version_n: (n: number) => `version ${n}`,
    name_hint: 'Lower-case letters, digits and dashes; cannot be changed later.', description: 'Description', topic_hint: 'Names in braces are captures: plant/{site}/{device}/data. Empty: devices/<name>/telemetry.', device: 'Device name', device_hint: 'Made of the captures; {device} where left empty.', format: 'Payload', formats: { json: 'JSON', scalar: 'one value a topic', bytes: 'bytes' } as Record<string, string>,
    time: 'Time at', time_hint: 'JSON Pointer; empty: the time of arrival.', time_format: 'Written as', time_formats: { auto: 'found out', rfc3339: 'RFC 3339', s: 'seconds', ms: 'milliseconds', us: 'microseconds', ns: 'nanoseconds' } as Record<string, string>, quality: 'Quality at', messages: 'Messages at', messages_hint: 'JSON Pointer to an array, where one payload holds several.', others: 'Elements without a line come under their own name',
    elements: 'Elements', element: 'Element', from: 'Address', from_hint: 'Where the value stands on the wire', unit: 'Unit on the wire', scale: 'Scale', offset: 'Offset', add: 'Add a line', remove: (what: string) => `Remove the line of ${what}`, more: 'More', bits_first: 'First bit', bits_count: 'Bits', values: 'Values', values_hint: 'One a line: wire = stored', deadband: 'Deadband', deadband_hint: 'Smaller changes are not stored.', percent: 'or percent', heartbeat: 'but at least every (s)', byte_at: 'Byte', byte_type: 'Type', byte_order: 'Order',
    orders: { big: 'big end first (ABCD)', little: 'little end first (DCBA)', big_swapped: 'words swapped (CDAB)', little_swapped: 'bytes swapped (BADC)' } as Record<string, string>, addresses: { mqtt: '/d/temperature', http: '/temperature', sparkplug: 'Motor/Current', lwm2m: '/3303/0/5700', opcua: 'nsu=urn:plant;s=Pump1.Flow' } as Record<string, string>,
    try: 'Try it', try_intro: 'Paste what a device sent, or take what came in. Nothing is stored.', try_topic: 'Topic it came on', payload: 'Payload', payload_hex: 'Payload, hexadecimal', latest: 'Take a message', listen: 'Topics to listen to', listening: 'Listening. What comes in appears here.', live: 'Now', kept: 'Lately unknown or refused', latest_none: 'No message came from an unknown device or was refused lately.', latest_title: 'Messages that came in', result: 'What becomes of it', result_device: (device: string) => `It is of ${device}`, wire: 'On the wire', stored: 'Stored', left_out: 'left out', unused: 'Also in the payload', bind: (address: string) => `Bind ${address}`, good: 'stored', refused: (reason: string) => `Refused: ${reason}`, nothing: 'Nothing to store: no address of the binding is in this payload.', wait: 'Add a payload to see what the binding makes of it.',
    form: 'Form', source: 'JSON', save: 'Save draft', activate: 'Save and activate', activating: 'Working…', note: 'Why (for the record)', versions: 'Versions', saved: (who: string) => `by ${who}`, make_active: 'Activate', active: 'active', was_active: 'was active', compare: 'Compare with active', changes: (from: number, to: number) => `From version ${from} to ${to}`, no_changes: 'They are the same.', ops: { add: 'added', remove: 'removed', replace: 'changed' } as Record<string, string>, saved_draft: (n: number) => `Version ${n} is saved as a draft.`, activated: (n: number) => `Version ${n} is active: devices use it from their next message on.`, remove_binding: 'Remove binding', remove_title: (name: string) => `Remove ${name}?`, remove_text: 'Only a binding that no device uses can be removed.', unsaved: 'Not saved yet',
  },
  rules: {
    title: 'Rules', none: 'No rule yet', none_hint: 'A rule raises an alarm when a value leaves its limits, changes too fast, or stops coming.', new: 'New rule', edit: 'Rule', message: 'Alarm', condition: 'Condition', scope: 'Applies to', state: 'State', on: 'On', off: 'Off', priority: 'Priority',
    every: (model: string) => `every ${model}`, at: (site: string) => `everything at ${site}`, kind: 'Watches', kinds: { threshold: 'a limit', rate: 'how fast it changes', stale: 'silence' }, element: 'Element', any_element: 'Any element', comparison: 'Alarm when', above: 'above', below: 'below', limit: 'Limit', limit_rate: 'Limit per second', limit_stale: 'Silent for (s)',
    hysteresis: 'Hysteresis', hysteresis_hint: 'How far back inside it must be before the alarm clears.', on_delay: 'On delay (s)', on_delay_hint: 'True for so long before the alarm comes.', off_delay: 'Off delay (s)', off_delay_hint: 'False for so long before it clears.', enabled: 'Switched on', message_hint: 'What the alarm says, for the person who reads it at night.', help: 'For the person who gets the alarm', cause: 'Probable cause', consequence: 'If nobody acts', action: 'What to do',
    scope_model: 'Every asset of a model', scope_twin: 'One asset', scope_site: 'Everything at a site', choose: 'Choose…', save: 'Save rule', saved: 'Saved. It works from now on.', remove: 'Remove rule', remove_title: 'Remove this rule?', remove_hint: 'Its open alarms clear. This cannot be undone.', preview: 'In the last 24 hours', preview_hint: 'The line is the limit. Each point is a few minutes, the band from lowest to highest.', preview_over: (n: number, of: number) => `Beyond the limit in ${n} of ${of} points.`, preview_none: 'No history to compare with.', preview_for: (twin: string) => `Shown for ${twin}`, changed: 'Somebody changed this rule meanwhile. Load it again before saving.',
    says: {
      threshold: (element: string, above: boolean, limit: string) => `${element} ${above ? '>' : '<'} ${limit}`, rate: (element: string, above: boolean, limit: string) => `${element} ${above ? 'rises' : 'falls'} faster than ${limit}/s`, stale: (element: string, limit: string) => `${element} silent for ${limit}`, for: (s: string) => `for ${s}`,
    },
    sentence: 'In words',
  },
  letters: { title: 'Dead letters', intro: 'Messages that were refused. Nothing is dropped in silence: each is kept here with its reason.', none: 'No refused message', none_hint: 'Every message so far matched its model.', none_match: 'No refused message matches.', time: 'Time', device: 'Device', reason: 'Reason', payload: 'Payload', topic: 'Topic', find_device: 'Device', find_reason: 'Part of the reason' },
  discovery: { title: 'Discovery', intro: 'Devices that nobody has registered. They came with a join token of a site; what they send waits here until you accept them.', none: 'No unknown device', none_hint: 'A device that connects with a site’s join token and is not registered appears here with a proposed model.', first: 'First seen', last: 'Last seen', messages: 'Messages', sample: 'What it sends', proposed: 'Proposed model', accept: 'Accept', accepting: 'Accepting…', forget: 'Forget', forget_hint: 'It comes back when it speaks again.', accept_title: (device: string) => `Accept ${device}`, site: 'Site', model: 'Model', use_proposed: 'The proposed one', fits: 'fits', edit: 'Interface (DTDL), edit it as you like', display: 'Display name', accepted: (device: string) => `${device} is accepted`, accepted_hint: 'From now on it signs in with these credentials, shown once:', join: 'Join tokens' },
  system: {
    title: 'System', status: { ok: 'All is well', degraded: 'Works, with a limitation', failing: 'Cannot do its work' }, check: { ok: 'OK', degraded: 'Degraded', failing: 'Failing' }, version: 'Version', uptime: 'Running for', checks: 'Checks', endpoints: 'Where devices connect', transport: { tcp: 'MQTT', tls: 'MQTT over TLS', websocket: 'MQTT over WebSocket', websocket_tls: 'MQTT over secure WebSocket', http: 'HTTP', https: 'HTTPS' } as Record<string, string>, ingest: 'What comes in', names: { journal: 'Journal', history: 'History', registry: 'Registry', mqtt: 'MQTT', http: 'HTTP', disk: 'Disk', clock: 'Clock', alarms: 'Alarms' } as Record<string, string>, page: 'This page', live_state: 'Live stream', api: 'API description', metrics: 'Metrics', more: 'For programs', never_stops: 'Read again every 5 s',
  },
  settings: {
    title: 'Settings', look: 'Look', theme: 'Theme', themes: { system: 'As the system', light: 'Light', dark: 'Dark' }, account: 'Account', name: 'Name', email: 'Email', role: 'Role', sites: 'Sites', password: 'Change password', current: 'Current password', new: 'New password', change: 'Change password', changed: 'Changed.',
    tokens: 'API tokens', tokens_hint: 'For programs: Authorization: Bearer pst_…', token_name: 'What it is for', no_tokens: 'No token.', create: 'Create', created: 'This token is shown once:', revoke: 'Revoke', last_used: 'Last used', expires: 'Ends', never: 'never', made: 'Made',
    join: 'Join tokens', join_hint: 'Unregistered devices connect with one and land in Discovery.', no_join: 'No join token.', users: 'People', invite: 'Invite', invite_title: 'Invite somebody', invited: 'Send this link. It works once, for 7 days:', new_link: 'New link', last_login: 'Last signed in', disable: 'Disable', enable: 'Enable', disabled: 'disabled', waiting: 'has not come yet', locked: 'locked', you: 'you', all_sites: 'all sites', status: 'State', active: 'active',
    keyboard: 'Keyboard', keys: [['Ctrl K', 'Search and go anywhere'], ['j  k', 'Next and previous alarm'], ['a', 'Acknowledge the chosen alarm'], ['← →', 'Move the cursor of a chart'], ['+  −', 'Zoom in and out in a chart'], ['Enter', 'Open'], ['/', 'Search']] as [string, string][],
  },
};
