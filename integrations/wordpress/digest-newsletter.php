<?php
/**
 * Plugin Name:       Digest Newsletter
 * Description:       Tells your Digest service which posts were read, and shows its sign-up form.
 * Version:           0.1.0
 * Requires at least: 5.8
 * Requires PHP:      7.2
 * Author:            the Digest authors
 * License:           MIT
 * License URI:       https://opensource.org/licenses/MIT
 *
 * The MIT license is compatible with the GPL, version 2 and later, under which WordPress is.
 *
 * What it does, and nothing else:
 * - GET /wp-json/digest/v1/views?from=2026-11-21&to=2026-11-27&grain=hour&page=1&per_page=1000
 *   The views by post and local hour or day, of WP Popular Posts, JNews View Counter or Post Views Counter. Only whoever
 *   knows the secret of the settings page may ask; see digest_newsletter_may_ask().
 * - [digest_signup newsletter="weekly"] and the block "Digest sign-up": a plain form that posts to the Digest service.
 *
 * It writes nothing but its own two options, sets no cookie, and calls nobody.
 */

if (!defined('ABSPATH')) {
    exit;
}

const DIGEST_NEWSLETTER_SECRET = 'digest_newsletter_secret';
const DIGEST_NEWSLETTER_SETTINGS = 'digest_newsletter_settings';
const DIGEST_NEWSLETTER_CLOCKS = 300;  // seconds by which the clocks of the two machines may differ

// --- Installing and going ---------------------------------------------------------------------------------------

register_activation_hook(__FILE__, 'digest_newsletter_secret');
register_uninstall_hook(__FILE__, 'digest_newsletter_forget');

/** The shared secret; made when there is none yet, as on the other sites of a network. */
function digest_newsletter_secret() {
    $secret = (string) get_option(DIGEST_NEWSLETTER_SECRET, '');
    if ($secret === '') {
        $secret = bin2hex(random_bytes(32));
        update_option(DIGEST_NEWSLETTER_SECRET, $secret, false);
    }
    return $secret;
}

function digest_newsletter_forget() {
    delete_option(DIGEST_NEWSLETTER_SECRET);
    delete_option(DIGEST_NEWSLETTER_SETTINGS);
}

// --- The views, for the Digest service --------------------------------------------------------------------------

add_action('rest_api_init', function () {
    $number = function ($default, $most) {
        return ['type' => 'integer', 'default' => $default, 'minimum' => 1, 'maximum' => $most];
    };
    $day = [
        'type' => 'string',
        'required' => true,
        'validate_callback' => function ($value) {
            return is_string($value) && preg_match('/^(\d{4})-(\d{2})-(\d{2})$/D', $value, $parts)
                && checkdate((int) $parts[2], (int) $parts[3], (int) $parts[1]);
        },
    ];
    register_rest_route('digest/v1', '/views', [
        'methods' => 'GET',
        'callback' => 'digest_newsletter_views',
        'permission_callback' => 'digest_newsletter_may_ask',
        'args' => [
            'from' => $day,
            'to' => $day,
            'grain' => ['type' => 'string', 'default' => 'hour', 'enum' => ['hour', 'day']],
            'page' => $number(1, 100000),
            'per_page' => $number(1000, 5000),
        ],
    ]);
});

/**
 * Whether a request is signed with our secret, not long ago.
 *
 * X-Digest-Timestamp holds seconds since 1970, X-Digest-Signature the HMAC-SHA256 in hexadecimal of four lines: the
 * timestamp, the method, the route without what stands before it (/digest/v1/views), and the query, its parameters
 * sorted by name and percent-encoded as in RFC 3986.
 */
function digest_newsletter_may_ask(WP_REST_Request $request) {
    $secret = (string) get_option(DIGEST_NEWSLETTER_SECRET, '');
    $timestamp = (string) $request->get_header('x_digest_timestamp');
    $signature = (string) $request->get_header('x_digest_signature');
    $query = $request->get_query_params();
    unset($query['rest_route']);
    ksort($query, SORT_STRING);
    $signed = implode("\n", [
        $timestamp,
        $request->get_method(),
        $request->get_route(),
        http_build_query($query, '', '&', PHP_QUERY_RFC3986),
    ]);
    if ($secret === '' || !hash_equals(hash_hmac('sha256', $signed, $secret), $signature)) {
        return new WP_Error('digest_signature', 'The request is not signed with the secret of this site.', ['status' => 401]);
    }
    if (!preg_match('/^\d{1,12}$/D', $timestamp) || abs(time() - (int) $timestamp) > DIGEST_NEWSLETTER_CLOCKS) {
        $message = sprintf('The request is too old, or a clock is wrong: here it is %d.', time());
        return new WP_Error('digest_time', $message, ['status' => 412]);
    }
    return true;
}

/** GET digest/v1/views: one page of counts, and what they are counts of. */
function digest_newsletter_views(WP_REST_Request $request) {
    if (!defined('DONOTCACHEPAGE')) {
        define('DONOTCACHEPAGE', true);  // a cache must not tell it to those who did not sign
    }
    if ($request['from'] > $request['to']) {
        return new WP_Error('rest_invalid_param', 'from lies after to.', ['status' => 400]);
    }
    $counter = digest_newsletter_counter();
    if ($counter === null) {
        $tables = digest_newsletter_tables();
        $message = 'No view counter was found. Looked for the tables ' . implode(' and ', $tables)
            . ' of WP Popular Posts, JNews View Counter and Post Views Counter.';
        return new WP_Error('digest_no_counter', $message, ['status' => 501, 'looked_for' => array_values($tables)]);
    }
    $found = digest_newsletter_rows($counter, $request['from'], $request['to'], $request['grain'],
        (int) $request['page'], (int) $request['per_page']);
    if ($found === null) {
        return new WP_Error('digest_database', 'The database did not answer.', ['status' => 500]);
    }
    $reply = new WP_REST_Response([
        'counter' => $counter['name'],
        'grain' => $request['grain'] === 'hour' && $counter['hours'] ? 'hour' : 'day',
        'timezone' => $counter['timezone'],
        'newest' => $counter['newest'],
        'sampling' => $counter['sampling'],
        'page' => (int) $request['page'],
        'pages' => (int) ceil($found['total'] / (int) $request['per_page']),
        'total' => $found['total'],
        'views' => $found['rows'],
    ]);
    $reply->header('Cache-Control', 'no-store, private');
    return $reply;
}

/** Where the counters keep their numbers, by kind. */
function digest_newsletter_tables() {
    global $wpdb;
    return ['popular' => $wpdb->prefix . 'popularpostssummary', 'pvc' => $wpdb->prefix . 'post_views'];
}

/**
 * The counter this site runs, or null.
 *
 * The tables of one that was switched off stay behind, so the first that counted since yesterday is taken, and when
 * none did, the one that counted last: its old date tells the reader what is wrong.
 */
function digest_newsletter_counter() {
    $best = null;
    foreach (digest_newsletter_tables() as $kind => $table) {
        $counter = digest_newsletter_look_at($kind, $table);
        if ($counter === null) {
            continue;
        }
        $yesterday = gmdate('Y-m-d', time() - DAY_IN_SECONDS);
        if ((string) $counter['newest'] >= $yesterday) {
            return $counter;
        }
        if ($best === null || (string) $counter['newest'] > (string) $best['newest']) {
            $best = $counter;
        }
    }
    return $best;
}

/** What is known of one counter, or null when its table is not there. */
function digest_newsletter_look_at($kind, $table) {
    global $wpdb;
    if ($wpdb->get_var($wpdb->prepare('SHOW TABLES LIKE %s', $wpdb->esc_like($table))) !== $table) {
        return null;
    }
    if ($kind === 'pvc') {
        $settings = get_option('post_views_counter_settings_general');
        $is_local = is_array($settings) && isset($settings['count_time']) && $settings['count_time'] === 'local';
        $newest = (string) $wpdb->get_var("SELECT MAX(period) FROM `$table` WHERE type = 0");
        return [
            'kind' => $kind,
            'name' => 'Post Views Counter',
            'hours' => false,
            'timezone' => $is_local ? wp_timezone_string() : 'UTC',
            'newest' => strlen($newest) === 8 ? substr($newest, 0, 4) . '-' . substr($newest, 4, 2) . '-' . substr($newest, 6) : null,
            'sampling' => 1,
        ];
    }
    $hours = (bool) $wpdb->get_var("SHOW COLUMNS FROM `$table` LIKE 'view_datetime'");
    // With one row a post and day, view_datetime is the time of that day's last view.
    $hours = $hours && !digest_newsletter_is_daily($table);
    $is_jnews = !defined('WPP_VERSION') && (function_exists('jnews_get_views') || !$hours);
    $settings = get_option('wpp_settings_config');
    $sampling = !$is_jnews && isset($settings['tools']['sampling']) ? $settings['tools']['sampling'] : [];
    return [
        'kind' => $kind,
        'name' => $is_jnews ? 'JNews View Counter' : 'WP Popular Posts',
        'hours' => $hours,
        'timezone' => wp_timezone_string(),
        'newest' => $wpdb->get_var("SELECT MAX(view_date) FROM `$table`"),
        'sampling' => empty($sampling['active']) || empty($sampling['rate']) ? 1 : (int) $sampling['rate'],
    ];
}

/** Whether a table has a unique key over post and day. */
function digest_newsletter_is_daily($table) {
    global $wpdb;
    $keys = [];
    foreach ($wpdb->get_results("SHOW INDEX FROM `$table` WHERE Non_unique = 0") as $part) {
        $keys[$part->Key_name][] = strtolower($part->Column_name);
    }
    foreach ($keys as $columns) {
        sort($columns);
        if ($columns === ['postid', 'view_date']) {
            return true;
        }
    }
    return false;
}

/** One page of counts, and how many there are in all; null when the database fails. Days are the counter's own. */
function digest_newsletter_rows($counter, $from, $to, $grain, $page, $per_page) {
    global $wpdb;
    $table = digest_newsletter_tables()[$counter['kind']];
    $public = "p.post_type = 'post' AND p.post_status = 'publish' AND p.post_password = ''";
    if ($counter['kind'] === 'pvc') {
        $grouped = $wpdb->prepare("SELECT v.id AS id, v.period AS day, NULL AS hour, SUM(v.count) AS views
            FROM `$table` v INNER JOIN {$wpdb->posts} p ON p.ID = v.id
            WHERE v.type = 0 AND v.period BETWEEN %s AND %s AND $public GROUP BY v.period, v.id",
            str_replace('-', '', $from), str_replace('-', '', $to));
    } else {
        // Rows from before the column was there have a time of no day.
        $hour = $grain === 'hour' && $counter['hours']
            ? 'IF(DATE(v.view_datetime) = v.view_date, HOUR(v.view_datetime), NULL)' : 'NULL';
        $grouped = $wpdb->prepare("SELECT v.postid AS id, v.view_date AS day, $hour AS hour, SUM(v.pageviews) AS views
            FROM `$table` v INNER JOIN {$wpdb->posts} p ON p.ID = v.postid
            WHERE v.view_date BETWEEN %s AND %s AND $public GROUP BY v.view_date, $hour, v.postid", $from, $to);
    }
    $total = $wpdb->get_var("SELECT COUNT(*) FROM ($grouped) counted");
    $rows = $wpdb->get_results("$grouped ORDER BY day, hour, id " . $wpdb->prepare('LIMIT %d OFFSET %d',
        $per_page, ($page - 1) * $per_page));
    if ($total === null || !is_array($rows) || $wpdb->last_error !== '') {
        return null;
    }
    _prime_post_caches(array_map('intval', wp_list_pluck($rows, 'id')), true, false);
    return ['total' => (int) $total, 'rows' => array_map(function ($row) {
        $day = strlen($row->day) === 8 ? substr($row->day, 0, 4) . '-' . substr($row->day, 4, 2) . '-' . substr($row->day, 6) : $row->day;
        return [
            'id' => (int) $row->id,
            'url' => get_permalink((int) $row->id),
            'day' => $day,
            'hour' => $row->hour === null ? null : (int) $row->hour,
            'views' => (int) $row->views,
        ];
    }, $rows)];
}

// --- The sign-up form -------------------------------------------------------------------------------------------

/** What the form says, in the language of the site. */
function digest_newsletter_words() {
    $words = [
        'en' => [
            'email' => 'Your e-mail address',
            'name' => 'Your name (if you like)',
            'button' => 'Sign up',
            'trap' => 'Leave this empty',
            'consent' => 'I want the newsletter by e-mail. I can leave with one click, any time.',
        ],
        'pl' => [
            'email' => 'Twój adres e-mail',
            'name' => 'Twoje imię (jeśli chcesz)',
            'button' => 'Zapisz się',
            'trap' => 'Zostaw to pole puste',
            'consent' => 'Chcę otrzymywać newsletter e-mailem. W każdej chwili mogę zrezygnować jednym kliknięciem.',
        ],
        'uk' => [
            'email' => 'Ваша електронна адреса',
            'name' => 'Ваше ім’я (за бажанням)',
            'button' => 'Підписатися',
            'trap' => 'Залиште це поле порожнім',
            'consent' => 'Хочу отримувати розсилку електронною поштою. Я можу відписатися одним натисканням будь-коли.',
        ],
    ];
    $language = strtolower(substr(get_locale(), 0, 2));
    return isset($words[$language]) ? $words[$language] : $words['en'];
}

/** The settings: `service`, the address of the Digest service, and `consent`, the sentence below the form. */
function digest_newsletter_settings() {
    $settings = get_option(DIGEST_NEWSLETTER_SETTINGS);
    return (is_array($settings) ? $settings : []) + ['service' => '', 'consent' => ''];
}

add_shortcode('digest_signup', 'digest_newsletter_form');

/** The form as HTML; nothing, except to those who can mend it, when no service is set. */
function digest_newsletter_form($attributes) {
    $attributes = shortcode_atts(['newsletter' => 'weekly', 'name' => 'no'], $attributes, 'digest_signup');
    $settings = digest_newsletter_settings();
    if ($settings['service'] === '') {
        return current_user_can('manage_options')
            ? '<p>' . esc_html('Digest: set the address of the service under Settings > Digest.') . '</p>' : '';
    }
    $words = digest_newsletter_words();
    $consent = $settings['consent'] === '' ? $words['consent'] : $settings['consent'];
    $newsletter = preg_replace('/[^a-z0-9_-]/', '', strtolower((string) $attributes['newsletter']));
    $id = wp_unique_id('digest-signup-');
    $name = in_array((string) $attributes['name'], ['yes', '1', 'true'], true) ? sprintf(
        '<p><label for="%1$s-name">%2$s</label><br><input id="%1$s-name" type="text" name="name" maxlength="100" autocomplete="name"></p>',
        esc_attr($id), esc_html($words['name'])) : '';
    // Nobody sees the trap; programs that fill in every field give themselves away.
    return sprintf(
        '<form class="digest-signup" method="post" action="%1$s" accept-charset="utf-8" aria-describedby="%2$s-consent">'
        . '<input type="hidden" name="newsletter" value="%3$s">'
        . '<p><label for="%2$s-email">%4$s</label><br>'
        . '<input id="%2$s-email" type="email" name="email" required maxlength="254" autocomplete="email"></p>%5$s'
        . '<div style="position:absolute;left:-9999px" aria-hidden="true"><label for="%2$s-website">%6$s</label>'
        . '<input id="%2$s-website" type="text" name="website" tabindex="-1" autocomplete="off"></div>'
        . '<p><button type="submit">%7$s</button></p>'
        . '<p id="%2$s-consent"><small>%8$s</small></p></form>',
        esc_url($settings['service'] . '/subscribe', ['https', 'http']), esc_attr($id), esc_attr($newsletter),
        esc_html($words['email']), $name, esc_html($words['trap']), esc_html($words['button']), esc_html($consent));
}

add_action('init', function () {
    if (!function_exists('register_block_type')) {
        return;
    }
    $needs = ['wp-blocks', 'wp-element', 'wp-block-editor', 'wp-components', 'wp-server-side-render'];
    wp_register_script('digest-newsletter-block', false, $needs, '0.1.0', true);
    wp_add_inline_script('digest-newsletter-block', <<<'JS'
(function (blocks, element, editor, components, ServerSideRender) {
    var el = element.createElement;
    blocks.registerBlockType('digest/signup', {
        apiVersion: 2,
        title: 'Digest sign-up',
        icon: 'email',
        category: 'widgets',
        attributes: {
            newsletter: {type: 'string', default: 'weekly'},
            name: {type: 'string', default: 'no'}
        },
        edit: function (props) {
            return el('div', editor.useBlockProps(),
                el(editor.InspectorControls, null, el(components.PanelBody, {title: 'Newsletter'},
                    el(components.TextControl, {
                        label: 'Name of the newsletter in config.toml',
                        value: props.attributes.newsletter,
                        onChange: function (value) { props.setAttributes({newsletter: value}); }
                    }),
                    el(components.ToggleControl, {
                        label: 'Ask for a name',
                        checked: props.attributes.name === 'yes',
                        onChange: function (value) { props.setAttributes({name: value ? 'yes' : 'no'}); }
                    }))),
                el(components.Disabled, null,
                    el(ServerSideRender, {block: 'digest/signup', attributes: props.attributes})));
        },
        save: function () { return null; }
    });
})(window.wp.blocks, window.wp.element, window.wp.blockEditor, window.wp.components, window.wp.serverSideRender);
JS
    );
    register_block_type('digest/signup', [
        'api_version' => 2,
        'attributes' => [
            'newsletter' => ['type' => 'string', 'default' => 'weekly'],
            'name' => ['type' => 'string', 'default' => 'no'],
        ],
        'editor_script' => 'digest-newsletter-block',
        'render_callback' => 'digest_newsletter_form',
    ]);
});

// --- The settings page ------------------------------------------------------------------------------------------

add_action('admin_menu', function () {
    add_options_page('Digest', 'Digest', 'manage_options', 'digest-newsletter', 'digest_newsletter_page');
});

add_action('admin_init', function () {
    // options.php checks the nonce and the right to manage options before it calls this.
    register_setting('digest_newsletter', DIGEST_NEWSLETTER_SETTINGS, [
        'type' => 'array',
        'sanitize_callback' => 'digest_newsletter_checked',
    ]);
});

/** Settings as they may be kept; a wrong address is complained of, and the old one stays. */
function digest_newsletter_checked($typed) {
    $typed = is_array($typed) ? $typed : [];
    $address = isset($typed['service']) && is_string($typed['service']) ? trim($typed['service']) : '';
    $service = untrailingslashit(esc_url_raw($address, ['https', 'http']));
    if ($address !== '' && (!preg_match('#^https?://#i', $address) || !wp_parse_url($service, PHP_URL_HOST))) {
        add_settings_error(DIGEST_NEWSLETTER_SETTINGS, 'service', 'Write the whole address, such as https://recap.example.com');
        $service = digest_newsletter_settings()['service'];
    }
    $consent = isset($typed['consent']) && is_string($typed['consent']) ? $typed['consent'] : '';
    return ['service' => $service, 'consent' => sanitize_text_field($consent)];
}

/** The button "Make a new secret". */
add_action('admin_post_digest_newsletter_new_secret', function () {
    if (!current_user_can('manage_options')) {
        wp_die('You may not do this.', '', ['response' => 403]);
    }
    check_admin_referer('digest_newsletter_new_secret');
    delete_option(DIGEST_NEWSLETTER_SECRET);
    digest_newsletter_secret();
    wp_safe_redirect(admin_url('options-general.php?page=digest-newsletter'));
    exit;
});

function digest_newsletter_page() {
    if (!current_user_can('manage_options')) {
        return;
    }
    $settings = digest_newsletter_settings();
    $counter = digest_newsletter_counter();
    ?>
    <div class="wrap">
        <h1>Digest</h1>
        <h2>The sign-up form</h2>
        <form method="post" action="options.php">
            <?php settings_fields('digest_newsletter'); ?>
            <table class="form-table" role="presentation">
                <tr>
                    <th scope="row"><label for="digest-service">Address of the Digest service</label></th>
                    <td>
                        <input id="digest-service" class="regular-text" type="url" placeholder="https://recap.example.com"
                            name="<?php echo esc_attr(DIGEST_NEWSLETTER_SETTINGS); ?>[service]"
                            value="<?php echo esc_attr($settings['service']); ?>">
                        <p class="description">base_url in its config.toml</p>
                    </td>
                </tr>
                <tr>
                    <th scope="row"><label for="digest-consent">Sentence below the form</label></th>
                    <td>
                        <input id="digest-consent" class="large-text" type="text"
                            name="<?php echo esc_attr(DIGEST_NEWSLETTER_SETTINGS); ?>[consent]"
                            value="<?php echo esc_attr($settings['consent']); ?>"
                            placeholder="<?php echo esc_attr(digest_newsletter_words()['consent']); ?>">
                        <p class="description">
                            What readers agree to. Write the same as in config.toml, [subscribing] consent: that is what
                            the service keeps as proof.
                        </p>
                    </td>
                </tr>
            </table>
            <?php submit_button(); ?>
        </form>
        <p>Put <code>[digest_signup newsletter="weekly"]</code> or the block “Digest sign-up” where the form shall be.</p>
        <h2>The counts</h2>
        <p>
            <?php if ($counter === null) : ?>
                No view counter was found: looked for the tables
                <?php echo esc_html(implode(', ', digest_newsletter_tables())); ?>.
            <?php else : ?>
                <?php echo esc_html($counter['name']); ?>, which
                <?php echo esc_html($counter['newest'] ? "counted last on {$counter['newest']}" : 'has not counted anything yet'); ?>.
            <?php endif; ?>
        </p>
        <p><label for="digest-secret">Secret, for config.toml:</label></p>
        <p>
            <input id="digest-secret" class="large-text code" type="text" readonly autocomplete="off"
                value="<?php echo esc_attr(digest_newsletter_secret()); ?>">
        </p>
        <form method="post" action="<?php echo esc_url(admin_url('admin-post.php')); ?>">
            <input type="hidden" name="action" value="digest_newsletter_new_secret">
            <?php wp_nonce_field('digest_newsletter_new_secret'); ?>
            <?php submit_button('Make a new secret', 'secondary', 'submit', false); ?>
        </form>
    </div>
    <?php
}
